def test_a_usage_error_names_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, command in ((["stitch", "--seeds"], "relgraph stitch"), (["--wrong"], "relgraph")):
        assert main(arguments) == 2
        assert capsys.readouterr().err.endswith(f"; see {command} --help\n")
