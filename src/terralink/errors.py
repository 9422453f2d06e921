"""Errors that a user can correct, as one tree.

    TerralinkError            one line: what was expected, what was found, what to do
    ├── InputError            a file or a value that cannot be used
    │   ├── SceneError        a scene that cannot be read, or does not fit the model
    │   ├── GraphError        lines that are not a road graph
    │   └── RecipeError       a recipe with an unknown key or a wrong value
    ├── ModelError            no such model, or a file that is not a model
    ├── TrainingError         a run that cannot continue, for example because the loss is NaN
    └── OutputError           a result that cannot be written

The command line prints the line and exits with 2; a program catches the class that it can handle.
Any other exception is a bug in terralink.
"""

import difflib
from collections.abc import Iterable


class TerralinkError(Exception):
    """An error that the user can correct; its message is one line."""


class InputError(TerralinkError):
    """A file or a value that cannot be used."""


class SceneError(InputError):
    """A scene that cannot be read, or does not fit the model."""


class GraphError(InputError):
    """Lines that are not a road graph."""


class RecipeError(InputError):
    """A recipe with an unknown key or a wrong value."""


class ModelError(TerralinkError):
    """No such model, or a file that is not a model."""


class TrainingError(TerralinkError):
    """A run that cannot continue, for example because the loss is NaN."""


class OutputError(TerralinkError):
    """A result that cannot be written."""


class SceneWarning(UserWarning):
    """A note about a scene that stops nothing; the command line prints it."""


class UnreadableWarning(SceneWarning):
    """Parts of a scene could not be read and are masked; the message counts and names them."""


class NoDataWarning(SceneWarning):
    """Pixel values mean no data although no tag says so, or a scene has no valid pixel."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for an unknown name, with the most similar known one.

    >>> unknown("model", "dlinket34", ["dlinknet34", "linknet34"])
    "no model named 'dlinket34'; did you mean 'dlinknet34'?"
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are: {', '.join(names)}"
    return f"no {kind} named {name!r}; {hint}"
