"""What goes wrong on the user's side, as one tree.

    TerralinkError            one clear line: what was wanted, what came, what to do
    ├── InputError            a file or a value that cannot be used
    │   ├── SceneError        a scene that cannot be read, or does not fit the model
    │   ├── GraphError        lines that make no road graph
    │   └── RecipeError       a recipe with an unknown key or a wrong value
    ├── ModelError            no such model, or a model file that is not one
    ├── TrainingError         a run that cannot go on, such as one whose loss is no number
    └── OutputError           a result that cannot be written

The command line prints the line and exits with 2; a program catches the class it can act on.
Everything else that is raised is a defect of ours.
"""

import difflib
from collections.abc import Iterable


class TerralinkError(Exception):
    """The root: a mistake that the user can mend, told in one line."""


class InputError(TerralinkError):
    """A file or a value that cannot be used."""


class SceneError(InputError):
    """A scene that cannot be read, or does not fit the model."""


class GraphError(InputError):
    """Lines that make no road graph."""


class RecipeError(InputError):
    """A recipe with an unknown key or a wrong value."""


class ModelError(TerralinkError):
    """No such model, or a model file that is not one."""


class TrainingError(TerralinkError):
    """A run that cannot go on, such as one whose loss is no number."""


class OutputError(TerralinkError):
    """A result that cannot be written."""


class SceneWarning(UserWarning):
    """What is worth knowing of a scene and stops nothing; the command line prints the line."""


class UnreadableWarning(SceneWarning):
    """Parts of a scene could not be read and are masked; the line counts and names them."""


class NoDataWarning(SceneWarning):
    """Levels were found that mean no data though no tag says so, or a scene has no data at all."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The line for a name that does not exist, with the nearest that does.

    >>> unknown("model", "dlinket34", ["dlinknet34", "linknet34"])
    "no model named 'dlinket34'; did you mean 'dlinknet34'?"
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are: {', '.join(names)}"
    return f"no {kind} named {name!r}; {hint}"
