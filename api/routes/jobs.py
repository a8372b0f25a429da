"""Jobs: trainings and backtests, how far they are and what came of them; versions; detection."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response, status

from api.ports import Ports
from api.schemas import LIMIT, Cursor, Limit, Page, bad_parameter, decode_cursor, encode_cursor
from models.job import Backtest, Detect, Detected, Job, Training, Version

WINDOW = {"start": "2026-11-01T00:00:00Z", "end": "2026-11-08T00:00:00Z"}


def routes(ports: Ports) -> APIRouter:
    """`/jobs`, and what of a detector takes long."""
    router = APIRouter(tags=["jobs"])
    jobs = ports.jobs

    @router.get("/jobs", response_model=Page[Job])
    async def listing(limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Job]:
        """All jobs, the newest first."""
        found = jobs.listing(limit + 1, _place(cursor))
        last = found[limit - 1] if len(found) > limit else None
        more = None if last is None else encode_cursor(f"{last.created_at}/{last.id}")
        return Page(items=found[:limit], next=more)

    @router.get("/jobs/{job_id}")
    async def get(job_id: str) -> Job:
        """One job."""
        return jobs.get(job_id)

    @router.delete("/jobs/{job_id}")
    async def cancel(job_id: str) -> Job:
        """Stop a job; one that is over stays as it is."""
        return await jobs.cancel(job_id)

    @router.post("/detectors/{name}/train", status_code=status.HTTP_202_ACCEPTED)
    async def train(
        name: str, asked: Annotated[Training, Body(examples=[WINDOW])], response: Response
    ) -> Job:
        """Learn a stretch of the past, then go on from it; live judging goes on meanwhile."""
        return _accepted(await jobs.train(name, asked), response)

    @router.post("/detectors/{name}/backtest", status_code=status.HTTP_202_ACCEPTED)
    async def backtest(
        name: str, asked: Annotated[Backtest, Body(examples=[WINDOW])], response: Response
    ) -> Job:
        """Judge a stretch of the past as if it were live, with this model or another."""
        return _accepted(await jobs.backtest(name, asked), response)

    @router.post("/detectors/{name}/detect")
    async def detect(name: str, asked: Detect) -> Detected:
        """Scores now, from a copy of what was learned; the detector itself is untouched."""
        return await ports.detection.detect(name, asked)

    @router.get("/detectors/{name}/versions", response_model=Page[Version])
    async def versions(name: str) -> Page[Version]:
        """What trainings left, the newest first."""
        return Page(items=jobs.versions(name), next=None)

    @router.post("/detectors/{name}/versions", status_code=status.HTTP_201_CREATED)
    async def bring(name: str, request: Request) -> Version:
        """Take in a version as a file that `GET …/versions/{version}` gave here or elsewhere."""
        return await jobs.bring(name, await request.body())

    @router.get("/detectors/{name}/versions/{version}", response_class=Response)
    async def content(name: str, version: str) -> Response:
        """A version as a file."""
        return Response(
            await jobs.content(name, version),
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{name}-{version}.snapshot"'},
        )

    @router.post("/detectors/{name}/versions/{version}/activate")
    async def activate(name: str, version: str) -> Version:
        """Let the detector go on from a version; what passed since is read again, not told."""
        return await jobs.activate(name, version)

    return router


def _accepted(job: Job, response: Response) -> Job:
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return job


def _place(cursor: str | None) -> tuple[int, str] | None:
    place = decode_cursor(cursor)
    if place is None:
        return None
    created, _, job_id = place.partition("/")
    if not created.isdigit():
        raise bad_parameter("cursor", f"{cursor!r} is not a cursor of this list")
    return int(created), job_id
