"""Names of `tensorrt` that are mere values, and what all of its objects have in common here."""

from enum import IntEnum

from tests.tensorrt.standin.machine import Machine


class DataType(IntEnum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    INT64 = 8


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class TensorIOMode(IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class ExecutionContextAllocationStrategy(IntEnum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class ILogger:
    Severity = Severity
    INTERNAL_ERROR, ERROR, WARNING = Severity.INTERNAL_ERROR, Severity.ERROR, Severity.WARNING
    INFO, VERBOSE = Severity.INFO, Severity.VERBOSE

    def log(self, severity: IntEnum, msg: str) -> None:
        raise NotImplementedError


class Counted:
    """An object that the machine knows of as long as it lives."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.objects[type(self).__name__] += 1

    def __del__(self) -> None:
        self.machine.objects[type(self).__name__] -= 1
        self.machine.record(f"~{type(self).__name__}")
