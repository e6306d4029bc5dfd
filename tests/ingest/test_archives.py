"""Commands for the archives: what they ask for, without asking; the fetching is tested locally."""

import sys

import numpy as np
import pytest
from astropy.table import Table
from test_download import Server, missing, truncates, well

from galtools import cli
from galtools.errors import GaltoolsError
from galtools.ingest import archives
from galtools.ingest.download import Politeness

pytest.importorskip("astroquery", reason="the extra `download` is not installed")


def catalogue():
    return Table(
        {
            "id": ["11", "12"],
            "ra": [214.5, 214.6],
            "dec": [52.5, 52.6],
            "redshift": [0.1, 0.2],
            "run": [3712, 3712],
            "rerun": [301, 301],
            "camcol": [3, 3],
            "field": [210, 210],
        }
    )


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def polite():
    return Politeness(sleep=lambda seconds: None, clock=lambda: 0.0)


def test_query_of_the_main_sample():
    query = archives.main_sample_query(10, (208, 221), (51, 58))
    assert query.startswith("SELECT TOP 10 p.objID AS id, p.ra, p.dec, s.z AS redshift")
    assert "p.petroMag_r - p.extinction_r < 17.8" in query
    assert "p.dec BETWEEN 51.000000 AND 58.000000" in query
    for n, ra in ((0, (1, 2)), (5, (2, 1)), (5, (-1, 2))):
        with pytest.raises(GaltoolsError, match="rising bounds"):
            archives.main_sample_query(n, ra, (0, 1))


def test_catalogue_is_written_with_our_columns(tmp_path, monkeypatch):
    class Sdss:
        @staticmethod
        def query_sql(query, data_release):
            table = catalogue()
            table["id"] = np.array([1237661, 1237662])
            return table if "TOP 2 " in query else None

    module = type("module", (), {"SDSS": Sdss})
    monkeypatch.setattr(archives, "astroquery", lambda name: module)
    found = archives.sdss_catalogue(tmp_path / "c.ecsv", 2)
    assert list(found["id"]) == ["1237661", "1237662"]
    assert set(found["flag"]) == {0}
    with pytest.raises(GaltoolsError, match="widen ra and dec"):
        archives.sdss_catalogue(tmp_path / "d.ecsv", 3)


def test_frames_of_one_field_are_asked_for_once():
    urls = archives.frame_urls(catalogue())
    assert sorted(urls) == sorted(f"frame-{band}-003712-3-0210.fits.bz2" for band in "ugriz")
    assert all(url.startswith("https://data.sdss.org/") for url in urls.values())
    with pytest.raises(GaltoolsError, match="no column run"):
        archives.frame_urls(catalogue()["id", "ra", "dec"])


class Cadc:
    """Answers like the archive: stacks in all bands, but none in z, and no answer for galaxy 12."""

    def query_region(self, place, radius, collection):
        assert collection == "CFHTTERAPIX"
        if place.ra.deg > 214.55:
            raise ConnectionError("Max retries exceeded\nwith a traceback")
        names = [f"CFHTLS_W_{b}_141754+523831_T0007_MEDIAN" for b in "ugri"]
        other = ["CFHTLS_D-85_g_141927+524056_T0007_MEDIAN", "CFHTLS_W_g_1_T0007_SIGWEI"]
        return Table({"productID": [*other, *names], "publisherID": range(6)})

    def get_image_list(self, planes, place, radius):
        assert len(planes) == 1
        plane = planes["publisherID"][0]
        return [f"https://archive/sync?ID=ivo%3A%2F%2F{plane}&RUNID=r{id(planes)}&POS=CIRCLE+1+2+3"]


def test_cfhtls_takes_the_final_wide_stacks_only_and_says_what_is_missing(polite):
    urls = archives.cfhtls_urls(catalogue(), cadc=Cadc(), polite=polite)
    assert list(urls) == [f"{k}_{band}.fits" for k in (11, 12) for band in "ugriz"]
    for k, band in enumerate("ugri"):
        asked = f"https://archive/sync?ID=ivo%3A%2F%2F{k + 2}&POS=CIRCLE+1+2+3"
        assert urls[f"11_{band}.fits"] == asked  # the same at every call: resumable
    assert "no stack in z" in str(urls["11_z.fits"])
    assert str(urls["12_u.fits"]) == (
        "CADC gave no answer (ConnectionError: Max retries exceeded); try again later"
    )


def test_failures_are_listed_and_the_rest_goes_on(server, tmp_path, polite):

    names = ("a.fits", "b.fits", "c.fits")
    server.script = [missing, truncates]
    reasons = archives.fetch_all(dict.fromkeys(names, server.url), tmp_path, polite)
    assert "404" in reasons["a.fits"]
    assert reasons["b.fits"] == reasons["c.fits"] == ""
    assert sorted(path.name for path in tmp_path.glob("*.fits")) == ["b.fits", "c.fits"]
    server.script = [missing] * 3
    with pytest.raises(GaltoolsError, match="none of 3 files came"):
        archives.fetch_all(dict.fromkeys(names, server.url), tmp_path / "none", polite)


def test_a_strangers_identifier_leads_nowhere_else(server, tmp_path, polite):
    names = ("../a.fits", "/a.fits", "b/c.fits", "d.fits")
    reasons = archives.fetch_all(dict.fromkeys(names, server.url), tmp_path / "in", polite)
    assert ["outside the folder" in reason for reason in reasons.values()] == [True] * 3 + [False]
    assert [path.name for path in tmp_path.rglob("*.fits")] == ["d.fits"]
    assert len(server.requests) == 1


def test_objects_without_a_position_are_listed_not_asked_for(polite):
    lost = catalogue()[[0, 0, 0]]
    lost["id"], lost["ra"], lost["dec"] = ["a", "b", "11"], [np.nan, 10.0, 214.5], [0.0, 95.0, 52.5]
    urls = archives.cfhtls_urls(lost, cadc=Cadc(), polite=polite)
    assert list(urls) == [f"{k}_{band}.fits" for k in ("a", "b", "11") for band in "ugriz"]
    assert all("no position" in str(url) for url in list(urls.values())[:10])
    assert urls["11_g.fits"].startswith("https://")


def test_a_dead_archive_is_left_alone_and_missing_files_are_not_its_fault(server, tmp_path, polite):
    absent = {f"none{k}.fits": GaltoolsError("no stack there") for k in range(20)}
    present = dict.fromkeys((f"{k}.fits" for k in range(15)), server.url)
    server.script = [well] + [missing] * 14
    reasons = list(archives.fetch_all(absent | present, tmp_path, polite).values())
    assert len(server.requests) == 1 + archives.HOPELESS
    assert [bool(reason) for reason in reasons] == [True] * 20 + [False] + [True] * 14
    assert reasons[-1] == "not tried, as the 10 before it failed"


def test_no_network_is_one_line(tmp_path, monkeypatch):
    def no_network(*args, **options):
        raise ConnectionError("Failed to resolve 'host'\n  at line 7")

    sdss = pytest.importorskip("astroquery.sdss")
    monkeypatch.setattr(sdss.SDSS, "query_sql", no_network)
    with pytest.raises(GaltoolsError, match=r"^SDSS gave no answer \(Conn.*'host'\); try again"):
        archives.sdss_catalogue(tmp_path / "c.ecsv", 2)
    assert not list(tmp_path.iterdir())


def test_missing_astroquery_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "astroquery.sdss", None)
    with pytest.raises(GaltoolsError, match=r"galtools\[download\]"):
        archives.frame_urls(catalogue())


def test_command_line(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="missing"):
        cli.main(["download", "sdss", str(tmp_path)])
    catalogue().write(tmp_path / "catalogue.ecsv")
    monkeypatch.setattr(archives, "fetch_all", lambda urls, folder: {"a": "", "b": "404"})
    cli.main(["download", "sdss", str(tmp_path)])
    assert "1 files fetched, 1 failed\n  b: 404" in capsys.readouterr().out
