"""What a switch does to the entry of a client session. Pure: an entry in, an outcome out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from chatstore_cli.domain.session_registry import (
    ACTIVE,
    COMPLETED,
    MOST_WORKFLOWS,
    PAUSED,
    RegistryEntry,
    Switch,
    SwitchAction,
    WorkflowContext,
)

UNKNOWN_WORKFLOW = "the workflow is not in this client session"
COMPLETED_WORKFLOW = "the workflow is completed"

_LEAVING = {COMPLETED: 0, PAUSED: 1, ACTIVE: 2}
"""The order in which workflows leave a list that is full."""


class Attempt(NamedTuple):
    """The connection that requests a switch, and the time."""

    connection: str
    at: datetime


class Outcome(NamedTuple):
    """The entry after an attempt, the switch to record, and its workflow. Without a switch, nothing changes."""

    entry: RegistryEntry
    switch: Switch | None
    workflow: WorkflowContext | None = None


def start(
    entry: RegistryEntry, chat_id: str, workflow_name: str, artifact_id: str | None, attempt: Attempt, *, activate: bool
) -> Outcome:
    """Register a workflow, and activate it with `activate`. If it is registered, it keeps its name and, for None, its artifact."""
    known = entry.workflow(chat_id)
    if known is not None and known.status == COMPLETED:
        return refused(
            entry, SwitchAction.SWITCH if activate else SwitchAction.ADD, chat_id, COMPLETED_WORKFLOW, attempt
        )
    if known is None:
        workflow = WorkflowContext(
            chat_id,
            workflow_name,
            entry.session.app_id,
            entry.session.user_id,
            artifact_id,
            PAUSED,
            attempt.at,
            attempt.at,
        )
        others = (*_with_room(entry), workflow)
    else:
        artifact = known.artifact_id if artifact_id is None else artifact_id
        workflow = replace(known, artifact_id=artifact, last_active=attempt.at)
        others = entry.workflows
    action = SwitchAction.ADD if not activate else SwitchAction.START if known is None else SwitchAction.SWITCH
    if activate:
        return _activated(entry, others, workflow, action, attempt)
    return _changed(entry, _with(others, workflow), entry.general_mode, action, chat_id, attempt, workflow)


def switch(entry: RegistryEntry, chat_id: str, attempt: Attempt) -> Outcome:
    """Activate a registered workflow and pause the others."""
    workflow = entry.workflow(chat_id)
    if workflow is None or workflow.status == COMPLETED:
        reason = UNKNOWN_WORKFLOW if workflow is None else COMPLETED_WORKFLOW
        return refused(entry, SwitchAction.SWITCH, chat_id, reason, attempt)
    return _activated(entry, entry.workflows, workflow, SwitchAction.SWITCH, attempt)


def enter_general_mode(entry: RegistryEntry, attempt: Attempt) -> Outcome:
    """Pause all workflows. Nothing changes if the client session is in general mode already."""
    if entry.general_mode and entry.active is None:
        return Outcome(entry, None)
    return _changed(entry, _all_paused(entry.workflows), True, SwitchAction.GENERAL, None, attempt)


def complete(entry: RegistryEntry, chat_id: str, attempt: Attempt) -> Outcome:
    """Complete a workflow. If it was the active one, none is active afterwards, and general mode is not entered."""
    workflow = entry.workflow(chat_id)
    if workflow is None:
        return refused(entry, SwitchAction.COMPLETE, chat_id, UNKNOWN_WORKFLOW, attempt)
    if workflow.status == COMPLETED:
        return Outcome(entry, None, workflow)
    completed = replace(workflow, status=COMPLETED, last_active=attempt.at)
    workflows = _with(entry.workflows, completed)
    return _changed(entry, workflows, entry.general_mode, SwitchAction.COMPLETE, chat_id, attempt, completed)


def refused(entry: RegistryEntry, action: str, chat_id: str | None, reason: str, attempt: Attempt) -> Outcome:
    """Nothing changes. The attempt is recorded with its reason."""
    active = entry.active
    before = None if active is None else active.chat_id
    if entry.updated_at is None:
        entry = replace(entry, updated_at=attempt.at)  # this entry is new, and needs a time from which it expires
    return Outcome(entry, Switch(action, attempt.connection, before, chat_id, attempt.at, entry.version, reason))


def _activated(
    entry: RegistryEntry,
    workflows: tuple[WorkflowContext, ...],
    workflow: WorkflowContext,
    action: SwitchAction,
    attempt: Attempt,
) -> Outcome:
    active = replace(workflow, status=ACTIVE, last_active=attempt.at)
    return _changed(entry, _with(_all_paused(workflows), active), False, action, workflow.chat_id, attempt, active)


def _changed(
    entry: RegistryEntry,
    workflows: tuple[WorkflowContext, ...],
    general_mode: bool,
    action: SwitchAction,
    chat_id: str | None,
    attempt: Attempt,
    workflow: WorkflowContext | None = None,
) -> Outcome:
    active = entry.active
    before = None if active is None else active.chat_id
    version = entry.version + 1
    changed = replace(entry, workflows=workflows, general_mode=general_mode, version=version, updated_at=attempt.at)
    return Outcome(changed, Switch(action, attempt.connection, before, chat_id, attempt.at, version), workflow)


def _all_paused(workflows: tuple[WorkflowContext, ...]) -> tuple[WorkflowContext, ...]:
    return tuple(replace(each, status=PAUSED) if each.status == ACTIVE else each for each in workflows)


def _with(workflows: tuple[WorkflowContext, ...], workflow: WorkflowContext) -> tuple[WorkflowContext, ...]:
    """The workflows with one of them replaced."""
    return tuple(workflow if each.chat_id == workflow.chat_id else each for each in workflows)


def _with_room(entry: RegistryEntry) -> tuple[WorkflowContext, ...]:
    """The workflows with room for one more. If there are too many, one leaves the list; its session is kept.

    That is the one that was completed first. If none is completed, it is the paused one that was active longest ago: many
    applications complete no workflow, and they must be able to start the next one.
    """
    workflows = entry.workflows
    if len(workflows) < MOST_WORKFLOWS:
        return workflows
    leaving = min(workflows, key=lambda each: (_LEAVING.get(each.status, 1), each.last_active))
    return tuple(each for each in workflows if each is not leaving)
