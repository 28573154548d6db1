"""The errors of the export room. Knows no files and no formats."""


class ExportError(Exception):
    """The export cannot go on; the message is one sentence for the person who started it."""


class ConfigError(ExportError):
    """A configuration file is missing, malformed, or asks for something that is not supported."""


class CheckpointError(ExportError):
    """A weight file is missing, damaged or hostile, or does not hold the tensors that the model needs."""


class AttentionError(ExportError):
    """TensorRT has no single kernel for an attention of this size."""
