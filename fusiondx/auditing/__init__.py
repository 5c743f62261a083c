"""Audit: are the results too good to be true? Coded checks, each with a page in docs/audit."""

from fusiondx.auditing.checks import CHECKS as CHECKS
from fusiondx.auditing.checks import Check as Check
from fusiondx.auditing.report import AuditReport as AuditReport
from fusiondx.auditing.report import Finding as Finding
from fusiondx.auditing.report import audit as audit
