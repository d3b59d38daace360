"""`chatstore config`: the real command."""

from __future__ import annotations

import json
from pathlib import Path

from chatstore_cli.config.settings import setting_types
from chatstore_cli.render.output_format import ROW_FORMATS

SECRET = "geheim"


def test_init_writes_the_example_and_never_overwrites_a_file(chatstore_without_database):
    run = chatstore_without_database
    done = run("config", "init")
    assert (done.code, done.out) == (0, "")
    written = run.folder / "config.yaml"
    assert "mongo:" in written.read_text()
    written.write_text("mine")
    refused = run("config", "init")
    assert refused.code == 8
    assert "--force" in refused.err
    assert written.read_text() == "mine"
    assert run("config", "init", "--force").code == 0
    assert "mongo:" in written.read_text()
    assert [path.name for path in run.folder.iterdir()] == ["config.yaml"]


def test_init_reports_that_another_file_is_read_instead(chatstore_without_database):
    run = chatstore_without_database
    (run.folder / "other.yaml").write_text("mongo: {ttl_days: 7}\n")
    done = run("config", "init", env={"CHATSTORE_CONFIG": "other.yaml"})
    assert done.code == 0
    assert "config.yaml is not read, because CHATSTORE_CONFIG names other.yaml." in done.err
    assert "is not read" not in run("config", "init", "--force", env={"CHATSTORE_CONFIG": "config.yaml"}).err


def test_init_writes_the_named_file_or_reports_why_it_cannot(chatstore_without_database):
    run = chatstore_without_database
    assert run("config", "init", "--to", "other.yaml").code == 0
    assert run("config", "check", "--config", "other.yaml").code == 0
    refused = run("config", "init", "--to", "no/such/folder.yaml")
    assert refused.code == 3
    assert "no/such" in refused.err
    assert refused.err.count("\n") == 1


def test_show_gives_every_value_with_its_source(chatstore_without_database):
    run = chatstore_without_database
    (run.folder / "config.yaml").write_text("mongo:\n  ttl_days: 7\n")
    done = run("config", "show", "-o", "json", env={"CHATSTORE_DATABASE": "chats"})
    assert done.code == 0
    rows = {row["key"]: (row["value"], row["source"]) for row in json.loads(done.out)["items"]}
    assert rows["mongo.ttl_days"] == (7, "config.yaml:2")
    assert rows["mongo.database"] == ("chats", "environment CHATSTORE_DATABASE")
    assert rows["mongo.journaled"] == (True, "default")
    assert rows["state.folder"] == (None, "default")
    assert list(rows) == list(setting_types())


def test_show_masks_passwords_however_they_are_written(chatstore_without_database):
    for uri in (
        f"mongodb://user:{SECRET}@host/",
        f"mongodb://user:p@{SECRET}@host/",
        f"mongodb+srv://user:{SECRET}@host/",
        f"mongodb://host/?tls=true&tlsCertificateKeyFilePassword={SECRET}",
        f"mongodb://host/?authMechanismProperties=AWS_SESSION_TOKEN:{SECRET}&tls=true",
    ):
        for output in ROW_FORMATS:
            done = chatstore_without_database("config", "show", "-o", output, "--uri", uri)
            assert done.code == 0
            assert SECRET not in done.out + done.err
            assert "host" in done.out


def test_the_password_of_an_invalid_uri_is_never_shown(chatstore_without_database):
    for uri in (
        f"mongodb://user:{SECRET}/1@host/",
        f"mongodb://user:x@{SECRET}@host/",
        f"mongodb://user:{SECRET}:1@host/",
        f"mongodb://user:{SECRET}%zz@host/",
        f"mongodb://user:a?{SECRET}@host/",
        f"mongodb://user:1?{SECRET}=x@host/",
        f"mongodb://user:1/?readPreference={SECRET}@host/",
        f"mongodb://user:x {SECRET}@host/",
        f"mongodb+srv://user:x/{SECRET}@host/",
        f"mongo://user:{SECRET}@host/",
        f"user:{SECRET}@host",
    ):
        for arguments in (["config", "check"], ["sessions", "list"], ["verify"], ["config", "check", "-o", "json"]):
            done = chatstore_without_database(*arguments, "--uri", uri)
            assert done.code in (2, 6)
            assert SECRET not in done.out + done.err


def test_check_lists_every_mistake_and_exits_with_status_2(chatstore_without_database):
    run = chatstore_without_database
    (run.folder / "config.yaml").write_text("mongo:\n  ttl_day: 7\n  write_concern: 1\nverify:\n  sample: 0\n")
    done = run("config", "check", "-o", "json")
    assert done.code == 2
    problems = [(row["level"], row["where"], row["hint"]) for row in json.loads(done.out)["items"]]
    assert [level for level, _, _ in problems] == ["error", "error", "warning"]
    assert ("error", "config.yaml:2", "Did you mean ttl_days?") in problems


def test_check_reports_no_problems_and_exits_with_status_0_despite_warnings(chatstore_without_database):
    run = chatstore_without_database
    done = run("config", "check")
    assert (done.code, done.out) == (0, "")
    assert "has no problems" in done.err
    odd = run("config", "check", env={"CHATSTORE_MONGO__JOURNALED": "no"})
    assert odd.code == 0
    assert "warning" in odd.out


def test_check_asks_the_driver_about_the_uri(chatstore_without_database):
    unknown = chatstore_without_database("config", "check", "--uri", "mongodb://127.0.0.1:1/?foo=1")
    assert unknown.code == 0
    assert "Unknown option: foo" in unknown.out
    wrong = chatstore_without_database("config", "check", "--uri", "mongodb://127.0.0.1:99999/")
    assert wrong.code == 2
    assert "not a MongoDB URI" in wrong.out
    missing = chatstore_without_database("config", "check", "--uri", "mongodb://127.0.0.1:1/?tls=true&tlsCAFile=/none")
    assert missing.code == 2
    assert "No such file" in missing.out


def test_every_command_rejects_an_invalid_configuration_with_status_2_and_one_line(chatstore_without_database):
    run = chatstore_without_database
    (run.folder / "config.yaml").write_text("mongo: {uri: '${NOT_SET}'}")
    for arguments in (["config", "show"], ["indexes", "check"], ["ttl", "show"], ["flush-cache"]):
        done = run(*arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("chatstore: config.yaml:1: mongo.uri: the variable NOT_SET is not set")
        assert done.err.count("\n") == 1
    error = json.loads(run("indexes", "check", "-o", "json").err)["error"]
    assert (error["code"], error["kind"]) == (2, "bad_config")


def test_a_command_that_needs_a_disabled_database_exits_with_status_5(chatstore_without_database):
    done = chatstore_without_database("indexes", "check", env={"CHATSTORE_MONGO__ENABLED": "false"})
    assert done.code == 5
    assert "mongo.enabled" in done.err
    assert done.err.count("\n") == 1


def test_an_unknown_option_of_the_uri_is_one_line_without_a_source_line(chatstore, mongo_uri):
    done = chatstore("indexes", "check", "--uri", f"{mongo_uri}&foo=1")
    assert done.code == 0
    assert "chatstore: Unknown option: foo" in done.err
    assert ".py" not in done.err


def test_init_creates_the_folder_of_the_users_own_configuration(chatstore_without_database):
    run = chatstore_without_database
    own = Path(run.environment["XDG_CONFIG_HOME"]) / "chatstore" / "config.yaml"

    assert run("config", "init", "--to", own).code == 0
    assert run("config", "check").code == 0
    assert run("config", "init", "--to", run.folder / "none" / "config.yaml").code == 3


# --- profiles --------------------------------------------------------------------------------------------------------

PROFILES = """\
mongo: {database: dev}
profiles:
  prod: {mongo: {uri: "${PROD_URI}", database: chats}}
  wrong: {mongo: {ttl_days: -1}}
"""


def test_show_names_the_profile_in_use_and_the_profile_of_each_value(chatstore_without_database):
    run = chatstore_without_database
    (run.folder / "config.yaml").write_text(PROFILES)
    done = run("--profile", "prod", "config", "show", "-o", "json", env={"PROD_URI": "mongodb://u:geheim@prod"})
    shown = json.loads(done.out)
    sources = {row["key"]: row["source"] for row in shown["items"]}
    assert (shown["profile"], shown["profiles"]) == ("prod", ["prod", "wrong"])
    assert sources["mongo.uri"] == "config.yaml:3 (profile prod) $PROD_URI"
    assert done.err == "Profile: prod (--profile)\n"
    assert "geheim" not in done.out
    assert run("config", "show").err == "No profile is in use. Profiles: prod, wrong\n"


def test_check_checks_every_profile(chatstore_without_database):
    run = chatstore_without_database
    (run.folder / "config.yaml").write_text(PROFILES)
    done = run("config", "check", "-o", "json")
    found = [(row["level"], row["where"]) for row in json.loads(done.out)["items"]]
    assert found == [("error", "config.yaml:4 (profile wrong)"), ("warning", "config.yaml:3 (profile prod)")]
    assert done.code == 2
    assert run("config", "check", "--profile", "prod").code == 2  # in use, so its variable must be set


def test_the_target_names_the_profile_and_what_overrides_it(chatstore):
    (chatstore.folder / "config.yaml").write_text("profiles: {prod: {mongo: {database: chats, ttl_days: 3}}}")
    done = chatstore("sessions", "complete", "nobody", "--profile", "prod")
    assert done.code == 3
    overriding, target, *_ = done.err.splitlines()
    assert overriding == "environment CHATSTORE_DATABASE overrides mongo.database of the profile."
    assert target.endswith(", profile prod")
    wrong = chatstore("sessions", "list", "--profile", "prdo")
    message = "--profile: no profile is named 'prdo'. Did you mean prod? Profiles: prod."
    assert (wrong.code, wrong.out, wrong.err) == (2, "", f"chatstore: {message}\n")
