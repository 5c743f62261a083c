"""Audit: are the results too good to be true? Coded checks, each with a page in docs/audit."""

from fusiondx.auditing.checks import CHECKS, Check
from fusiondx.auditing.report import AuditReport, Finding, audit
from fusiondx.auditing.settings import Audit

__all__ = ["CHECKS", "Audit", "AuditReport", "Check", "Finding", "audit"]
