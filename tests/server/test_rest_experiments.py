"""Experiments over MLflow's REST API."""

from __future__ import annotations

from asking import Client, mapping, pairs

from autotrack.entities import experiment_id
from autotrack.events import Entry, RunStarted


def test_an_experiment_is_found_by_id_and_by_name(api: Client) -> None:
    number = api.experiment("forests", tags=pairs({"team": "x"}))
    told = api.get("experiments/get", experiment_id=number)["experiment"]
    assert told == api.get("experiments/get-by-name", experiment_name="forests")["experiment"]
    assert number == told["experiment_id"] == experiment_id("forests")
    assert told["artifact_location"] == f"mlflow-artifacts:/{number}"
    assert told["lifecycle_stage"] == "active"
    assert told["tags"] == pairs({"team": "x"})
    assert told["creation_time"] == told["last_update_time"] > 1_600_000_000_000


def test_a_name_is_given_once(api: Client) -> None:
    number = api.experiment("once")
    code, message = api.refused("POST", "experiments/create", name="once")
    assert code == "RESOURCE_ALREADY_EXISTS"
    assert "already exists" in message
    api.post("experiments/delete", experiment_id=number)
    code, message = api.refused("POST", "experiments/create", name="once")
    assert code == "RESOURCE_ALREADY_EXISTS"
    assert "restore" in message
    assert number in message
    api.refused("POST", "experiments/create", name="Default")
    assert "'name'" in api.refused("POST", "experiments/create", name="")[1]
    assert "'name'" in api.refused("POST", "experiments/create", name="x" * 501)[1]
    assert "'name'" in api.refused("POST", "experiments/create", name=7)[1]


def test_requests_at_once_make_one_experiment(api: Client) -> None:
    answers = api.together(*[("POST", "experiments/create", {"name": "raced"})] * 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


def test_artifacts_are_kept_nowhere_else(api: Client) -> None:
    for place in ("file:///etc", "s3://bucket/x", "/etc", "../x", "mlflow-artifacts:/1/..", "dbfs:/x", "FILE:x#y"):
        code, message = api.refused("POST", "experiments/create", name="placed", artifact_location=place)
        assert code == "INVALID_PARAMETER_VALUE"
        assert "artifact_location" in message
    number = api.experiment("placed", artifact_location=f"mlflow-artifacts:/{experiment_id('placed')}")
    assert number == experiment_id("placed")


def test_the_default_experiment_is_always_there(api: Client) -> None:
    told = api.get("experiments/get", experiment_id="0")["experiment"]
    assert (told["name"], told["lifecycle_stage"]) == ("Default", "active")
    assert api.get("experiments/get-by-name", experiment_name="Default")["experiment"] == told
    assert "0" in _ids(api)


def test_what_is_not_there_is_not_found(api: Client) -> None:
    for method, path, data in (
        ("GET", "experiments/get", {"experiment_id": "12345"}),
        ("GET", "experiments/get", {"experiment_id": "../../etc/passwd"}),
        ("GET", "experiments/get-by-name", {"experiment_name": "nobody's"}),
        ("POST", "experiments/delete", {"experiment_id": "12345"}),
        ("POST", "experiments/restore", {"experiment_id": "0"}),
        ("POST", "runs/create", {"experiment_id": "12345"}),
    ):
        assert api.refused(method, path, 404, **data)[0] == "RESOURCE_DOES_NOT_EXIST"


def test_a_renamed_experiment_keeps_its_id_and_runs(api: Client) -> None:
    number = api.experiment("before")
    run_id = api.run(number)
    api.post("experiments/update", experiment_id=number, new_name="after")
    told = api.get("experiments/get-by-name", experiment_name="after")["experiment"]
    assert told["experiment_id"] == number
    assert api.found(experiment_ids=[number]) == [run_id]
    api.refused("GET", "experiments/get-by-name", 404, experiment_name="before")
    other = api.experiment("before")
    assert other != number
    assert api.get("experiments/get", experiment_id=other)["experiment"]["name"] == "before"
    assert api.get("experiments/get-by-name", experiment_name="before")["experiment"]["experiment_id"] == other
    api.run(other)
    assert api.found(experiment_ids=[number]) == [run_id]
    assert api.refused("POST", "experiments/update", experiment_id=other, new_name="after")[0] == (
        "RESOURCE_ALREADY_EXISTS"
    )
    api.post("experiments/update", experiment_id=other, new_name="before")


def test_deleting_an_experiment_hides_its_runs_until_it_is_restored(api: Client) -> None:
    number = api.experiment("doomed")
    kept, gone = api.run(number), api.run(number)
    api.post("runs/delete", run_id=gone)
    while api.store.get_run(gone).deleted_time == _now():  # the experiment is deleted later
        pass
    api.post("experiments/delete", experiment_id=number)
    assert api.get("experiments/get", experiment_id=number)["experiment"]["lifecycle_stage"] == "deleted"
    assert api.read(kept)["info"]["lifecycle_stage"] == "deleted"
    assert api.found(experiment_ids=[number]) == []
    assert number not in _ids(api)
    assert number in _ids(api, view_type="DELETED_ONLY")
    assert number in _ids(api, view_type="ALL")
    code, message = api.refused("POST", "runs/create", experiment_id=number)
    assert code == "INVALID_PARAMETER_VALUE"
    assert "'active' state" in message
    api.refused("POST", "experiments/delete", 404, experiment_id=number)
    api.refused("POST", "experiments/set-experiment-tag", 404, experiment_id=number, key="a", value="b")
    api.post("experiments/restore", experiment_id=number)
    assert api.found(experiment_ids=[number]) == [kept]
    assert api.get("experiments/get", experiment_id=number)["experiment"]["lifecycle_stage"] == "active"


def _now() -> int:
    from autotrack.server.rest.clock import now

    return now()


def test_tags_of_an_experiment_are_set_and_deleted(api: Client) -> None:
    number = api.experiment("tagged")
    for value in ("1", "2"):
        api.post("experiments/set-experiment-tag", experiment_id=number, key="t", value=value)
    assert mapping(api.get("experiments/get", experiment_id=number)["experiment"]["tags"]) == {"t": "2"}
    api.post("experiments/delete-experiment-tag", experiment_id=number, key="t")
    assert api.get("experiments/get", experiment_id=number)["experiment"]["tags"] == []
    api.refused("POST", "experiments/delete-experiment-tag", 404, experiment_id=number, key="t")


def test_experiments_known_by_their_runs_alone_are_experiments(api: Client) -> None:
    name = f"recorded {id(api)}"
    api.store.apply([Entry(name, 1, RunStarted("of " + name, "a run", 1, name))])
    number = experiment_id(name)
    told = api.get("experiments/get", experiment_id=number)["experiment"]
    assert (told["name"], told["lifecycle_stage"]) == (name, "active")
    assert number in _ids(api)
    assert api.found(experiment_ids=[number]) == ["of " + name]
    assert api.refused("POST", "experiments/create", name=name)[0] == "RESOURCE_ALREADY_EXISTS"
    assert api.run(number)
    api.post("experiments/delete", experiment_id=number)
    assert number in _ids(api, view_type="DELETED_ONLY")


def test_experiments_are_searched_by_name_tags_and_times(api: Client) -> None:
    numbers = [api.experiment(f"search {letter}", tags=pairs({"letter": letter})) for letter in "abc"]
    assert _names(api, filter="name LIKE 'search%'") == {"search a", "search b", "search c"}
    assert _names(api, filter="name ILIKE 'SEARCH%' AND tags.letter != 'b'") == {"search a", "search c"}
    assert _names(api, filter="attribute.name = 'search b'") == {"search b"}
    assert _names(api, filter="tags.`letter` IN ('a', 'b') AND creation_time > 0") == {"search a", "search b"}
    assert _names(api, filter=f"experiment_id = '{numbers[2]}'") == {"search c"}
    assert _names(api, filter="name LIKE 'search%' AND last_update_time < 5") == set()
    for filter in ("name LIKE 5", "nonsense = 'x'", "name = 'x", "creation_time = 'x'"):
        assert api.refused("POST", "experiments/search", filter=filter)[0] == "INVALID_PARAMETER_VALUE"


def test_experiments_are_sorted_and_paged(api: Client) -> None:
    for number in range(5):
        api.experiment(f"page {number}")
    asked = {"filter": "name LIKE 'page%'", "order_by": ["name DESC"], "max_results": 2}
    names: list[str] = []
    token = None
    while True:
        told = api.post("experiments/search", **asked, page_token=token)
        names += [one["name"] for one in told["experiments"]]
        token = told.get("next_page_token")
        if len(names) == 2:
            api.experiment("page 9")  # before what was shown
        if not token:
            break
    assert names == [f"page {number}" for number in (4, 3, 2, 1, 0)]
    asked["order_by"] = ["creation_time ASC", "name"]
    first = api.get("experiments/search", **asked)
    assert [one["name"] for one in first["experiments"]] == ["page 0", "page 1"]
    token = first["next_page_token"]
    assert api.refused("GET", "experiments/search", page_token=token)[0] == "INVALID_PARAMETER_VALUE"
    for wrong in (token[:-2], "x", token + "AA"):
        api.refused("GET", "experiments/search", **asked, page_token=wrong)
    listed = api.get("experiments/list", view_type="ACTIVE_ONLY")
    assert {"page 0", "page 9"} <= {one["name"] for one in listed["experiments"]}


def _ids(api: Client, **data: object) -> set[str]:
    return {one["experiment_id"] for one in api.post("experiments/search", max_results=1000, **data)["experiments"]}


def _names(api: Client, **data: object) -> set[str]:
    return {one["name"] for one in api.post("experiments/search", max_results=1000, **data)["experiments"]}
