"""Tokens, projects, rate limits, unknown paths, lists."""

from pathlib import Path

import requests

from tests.support.hetzner_simulator import (
    CONTROL_TOKEN,
    OTHER_PROJECT_TOKEN,
    READ_ONLY_TOKEN,
    SSH_KEY,
    TOKEN,
    HetznerSimulator,
    serve_simulator,
)


def _code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_unknown_path_when_no_token_then_404_before_authentication(sim: HetznerSimulator) -> None:
    answer = requests.get(f"{sim.endpoint}/clouds", timeout=10)
    assert _code(answer) == (404, "not_found")
    assert answer.json()["error"]["message"] == "api route not found"


def test_wrong_method_when_no_token_then_401(sim: HetznerSimulator) -> None:
    assert _code(requests.put(f"{sim.endpoint}/servers", timeout=10)) == (401, "unauthorized")


def test_wrong_method_when_token_then_405(sim: HetznerSimulator) -> None:
    assert _code(sim.call("PUT", "/servers")) == (405, "method_not_allowed")


def test_unknown_token_when_used_then_401(sim: HetznerSimulator) -> None:
    assert _code(sim.call("GET", "/servers", token="guess")) == (401, "unauthorized")


def test_lab_token_when_used_on_the_api_then_401(sim: HetznerSimulator) -> None:
    assert _code(sim.call("GET", "/servers", token=CONTROL_TOKEN)) == (401, "unauthorized")


def test_api_token_when_used_on_lab_control_then_401(sim: HetznerSimulator) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.get(f"{sim.url}/_lab/requests", headers=headers, timeout=10)
    assert _code(answer) == (401, "unauthorized")


def test_reader_when_writing_then_token_readonly(sim: HetznerSimulator) -> None:
    key = {"name": "k", "public_key": SSH_KEY}
    assert _code(sim.call("POST", "/ssh_keys", key, READ_ONLY_TOKEN)) == (401, "token_readonly")
    assert sim.call("GET", "/ssh_keys", token=READ_ONLY_TOKEN).json()["ssh_keys"] == []


def test_project_when_another_has_objects_then_sees_none(sim: HetznerSimulator) -> None:
    key = sim.client().ssh_keys.create("k", SSH_KEY)
    assert sim.client(OTHER_PROJECT_TOKEN).ssh_keys.get_all() == []
    assert _code(sim.call("GET", f"/ssh_keys/{key.id}", token=OTHER_PROJECT_TOKEN)) == (
        404,
        "not_found",
    )
    assert sim.client(OTHER_PROJECT_TOKEN).ssh_keys.create("k", SSH_KEY).id != key.id


def test_body_when_not_json_then_json_error(sim: HetznerSimulator) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{sim.endpoint}/ssh_keys"
    for data in ("{", "[]", '"text"'):
        answer = requests.post(url, data=data, headers=headers, timeout=10)
        assert _code(answer) == (400, "json_error")


def test_field_when_missing_then_invalid_input_names_it(sim: HetznerSimulator) -> None:
    error = sim.call("POST", "/ssh_keys", {"name": "k"}).json()["error"]
    assert error["code"] == "invalid_input"
    assert error["details"]["fields"][0]["name"] == "public_key"


def test_name_when_taken_then_uniqueness_error_names_the_field(sim: HetznerSimulator) -> None:
    sim.client().placement_groups.create("g", "spread")
    answer = sim.call("POST", "/placement_groups", {"name": "g", "type": "spread"})
    assert _code(answer) == (409, "uniqueness_error")
    assert answer.json()["error"]["details"]["fields"] == [{"name": "name"}]


def test_ssh_key_when_same_key_under_another_name_then_uniqueness_error(
    sim: HetznerSimulator,
) -> None:
    sim.client().ssh_keys.create("k", SSH_KEY)
    answer = sim.call("POST", "/ssh_keys", {"name": "other", "public_key": SSH_KEY + " comment"})
    assert _code(answer) == (409, "uniqueness_error")
    assert answer.json()["error"]["details"]["fields"] == [{"name": "fingerprint"}]


def test_ssh_key_when_looked_up_by_fingerprint_then_found(sim: HetznerSimulator) -> None:
    key = sim.client().ssh_keys.create("k", SSH_KEY)
    found = sim.client().ssh_keys.get_by_fingerprint(key.fingerprint or "")
    assert found is not None and found.id == key.id


def test_rate_limit_when_used_up_then_429_with_headers(tmp_path: Path) -> None:
    with serve_simulator(tmp_path, rate_limit=3) as sim:
        answers = [sim.call("GET", "/locations") for _ in range(4)]
        other = sim.call("GET", "/locations", token=OTHER_PROJECT_TOKEN)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["error"]["code"] == "rate_limit_exceeded"
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert int(answers[0].headers["RateLimit-Reset"]) > 0
    assert answers[0].headers["X-Correlation-Id"] != answers[1].headers["X-Correlation-Id"]
    assert other.status_code == 200


def test_list_when_longer_than_a_page_then_links_and_client_follow(sim: HetznerSimulator) -> None:
    client = sim.client()
    for number in range(7):
        client.placement_groups.create(f"g{number}", "spread", labels={"even": str(number % 2)})
    path = "/placement_groups?label_selector=even%3D0&per_page=2&page=1&sort=name:desc"
    first = sim.call("GET", path)
    assert [group["name"] for group in first.json()["placement_groups"]] == ["g6", "g4"]
    assert first.json()["meta"]["pagination"] == {
        "page": 1,
        "per_page": 2,
        "previous_page": None,
        "next_page": 2,
        "last_page": 2,
        "total_entries": 4,
    }
    headers = {"Authorization": f"Bearer {TOKEN}"}
    second = requests.get(first.links["next"]["url"], headers=headers, timeout=10).json()
    assert [group["name"] for group in second["placement_groups"]] == ["g2", "g0"]


def test_list_when_more_than_fifty_are_requested_then_fifty(sim: HetznerSimulator) -> None:
    answer = sim.call("GET", "/servers?per_page=1000").json()
    assert answer["meta"]["pagination"]["per_page"] == 50


def test_endpoint_when_given_with_a_slash_then_works(sim: HetznerSimulator) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{sim.endpoint}//servers", headers=headers, timeout=10).ok


def test_requests_when_counted_then_writes_and_reads_are_counted_apart(
    sim: HetznerSimulator,
) -> None:
    sim.client().ssh_keys.get_all()
    sim.client().ssh_keys.create("k", SSH_KEY)
    sim.call("POST", "/ssh_keys", {}, "guess")
    counts = sim.control("GET", "/requests")
    assert (counts["writes"], counts["reads"]) == (2, 1)
    assert [(r["method"], r["path"], r["status"]) for r in counts["requests"]] == [
        ("GET", "/v1/ssh_keys", 200),
        ("POST", "/v1/ssh_keys", 201),
        ("POST", "/v1/ssh_keys", 401),
    ]
    assert sim.control("DELETE", "/requests")["requests"] == []
