"""Audit: are the results too good to be true? Coded checks, each with a page in docs/audit."""

from fusiondx.auditing.checks import CHECKS, Check
from fusiondx.auditing.report import AuditReport, Finding, audit

__all__ = ["CHECKS", "AuditReport", "Check", "Finding", "audit"]
