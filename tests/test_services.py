"""The servers that other tests stand on."""

from __future__ import annotations

import urllib.request

from services import MariaDB, Postgres, Server


def test_postgres_survives_being_killed(postgres: Postgres, postgres_uri: str) -> None:
    import psycopg

    with psycopg.connect(postgres_uri) as connection:
        connection.execute("CREATE TABLE t (x int)")
    postgres.kill()
    postgres.start()
    with psycopg.connect(postgres_uri) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_mariadb_answers(mariadb: MariaDB, mariadb_uri: str) -> None:
    import pymysql

    name = mariadb_uri.rsplit("/", 1)[1]
    connection = pymysql.connect(host="127.0.0.1", port=mariadb.port, user="autotrack", database=name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    connection.close()


def test_s3_has_an_empty_bucket(s3_server: Server, s3_uri: str) -> None:
    bucket = s3_uri.removeprefix("s3://")
    port = s3_server.port  # type: ignore[attr-defined]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{bucket}?list-type=2", timeout=10) as answer:
        assert b"<KeyCount>0</KeyCount>" in answer.read()
