"""The command line. Every command imports what it needs when it runs, so that help comes at once."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

import typer

from fusiondx.errors import FusionDxError, FusionDxWarning, counted

TOLD_TO_STOP = 143
"""Exit code of a process that SIGTERM ends."""

app = typer.Typer(
    help="Multimodal tumour diagnosis and prognosis: train, judge and reuse models that read images, tables and omics.",
    epilog="Exit codes: 0 done; 2 a mistake in files or arguments, told in one message; 3 reproduce found a "
    "difference; 130 interrupted; 143 told to stop by SIGTERM; 1 a defect of fusiondx, with its traceback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and those hold patients' values
)

Out = Annotated[Path, typer.Option(help="Run folder to write; it appears when all is finished.", show_default=False)]
Data = Annotated[Path | None, typer.Option(help="Folder with the data files; left out: beside the cohort.yaml.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a finished run folder.")]
Set = Annotated[list[str] | None, typer.Option(help="Change a setting: model.training.epochs=3.")]
Jobs = Annotated[int | None, typer.Option(help="Fits that run at a time; the same as --set jobs=N.", min=1)]
Run = Annotated[Path, typer.Argument(help="A finished run folder.", show_default=False)]


@app.command()
def demo(
    out: Out = Path("demo"),
    overwrite: Overwrite = False,
    patients: Annotated[int, typer.Option(min=40, help="Patients to simulate.")] = 800,
) -> None:
    """Simulate a cohort, compare early, late and unimodal models on it, and write the report."""
    with spoken():
        from fusiondx.demo import demonstrate, gains

        report = demonstrate(out, patients, overwrite, progress=note)
        print(report, gains(report), sep="\n\n")
        note(f"Report: {out / 'report.html'}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder with the tables and images.", show_default=False)],
    target: Annotated[list[str] | None, typer.Option(help="A column to predict; left out: found by its name.")] = None,
) -> None:
    """Look at a folder of tables and images, and write a commented cohort.yaml and experiment.yaml into it."""
    with spoken():
        from fusiondx.experiment.starting import start

        written = start(folder, target or ())
        note(f"Wrote {', '.join(map(str, written))}. Read them, then: fusiondx check {written[-1]}")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="COHORT_OR_EXPERIMENT", help="A YAML file.", show_default=False)],
    data: Data = None,
) -> None:
    """Validate a cohort.yaml or an experiment.yaml without training; decodes every image once."""
    with spoken():
        from fusiondx.core.settings import read_yaml
        from fusiondx.data.cohort import Cohort
        from fusiondx.experiment import preflight
        from fusiondx.experiment.file import is_experiment, read_experiment

        following = ""
        if is_experiment(read_yaml(path)):
            where = f" --data {quote(str(data))}" if data else ""
            following = f" Next: fusiondx run {quote(str(path))}{where} --out runs/first"
            experiment = read_experiment(path)
            cohort = preflight.read_patients(experiment, path, data)
            preflight.check(experiment, cohort)
        else:
            cohort = Cohort.read(path, data)
            preflight.check_images(cohort)
        print(cohort.describe())
        note(f"{path.name} is sound.{following}")


@app.command()
def run(
    experiment: Annotated[Path, typer.Argument(help="An experiment.yaml.", show_default=False)],
    out: Out,
    data: Data = None,
    set: Set = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
) -> None:
    """Run an experiment and leave a run folder: settings, models, predictions, metrics, report."""
    with spoken():
        from fusiondx.experiment import running

        print(running.run(experiment, data, out, changes(set, jobs), overwrite, progress=note))
        note(f"Report: {out / 'report.html'}")


@app.command()
def compare(
    experiments: Annotated[list[Path], typer.Argument(help="One experiment.yaml, or several.", show_default=False)],
    out: Out,
    data: Data = None,
    fusions: Annotated[str | None, typer.Option(help="Fusions to add, such as gated,mean.")] = None,
    first_folds: Annotated[bool, typer.Option("--first-folds", help="Judge all on the first one's patients.")] = False,
    set: Set = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
) -> None:
    """Judge models on the same folds, with paired differences.

    One experiment is widened to every fusion, each modality alone and the clinical baseline.
    """
    with spoken():
        from fusiondx.experiment import comparing
        from fusiondx.experiment.standings import listing

        asked = None if fusions is None else [name.strip() for name in fusions.split(",")]
        found = comparing.compare(
            experiments, data, out, changes(set, jobs), asked, first_folds, overwrite, progress=note
        )
        print(listing(found))
        note(f"Report: {out / 'report.html'}; table: {out / 'comparison.csv'}")


@app.command()
def predict(
    run: Run,
    data: Annotated[Path, typer.Option(help="Folder with the data files.", show_default=False)],
    cohort: Annotated[Path | None, typer.Option(help="Another cohort.yaml; left out: the run's own.")] = None,
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("predictions.csv"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a table of predictions.")] = False,
) -> None:
    """Predict patients with the models of a finished run; they need no outcome."""
    with spoken():
        from fusiondx.experiment import predicting

        predicting.refuse_taken(out, overwrite)
        said = predicting.predict(run, data, cohort)
        predicting.write(said, out)
        note(f"Predicted {said['patient_id'].nunique()} patients: {out}")


@app.command()
def evaluate(
    predictions: Annotated[list[Path], typer.Argument(help="Tables of predictions, one a model.", show_default=False)],
    truth: Annotated[Path, typer.Option(help="Table with what happened.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("evaluation"),
    baseline: Annotated[Path | None, typer.Option(help="Predictions of the clinical baseline.")] = None,
    id: Annotated[str, typer.Option(help="Column of patient ids, in all tables.")] = "patient_id",
    label: Annotated[str | None, typer.Option(help="Truth: column of classes.")] = None,
    time: Annotated[str | None, typer.Option(help="Truth: column of times.")] = None,
    event: Annotated[str | None, typer.Option(help="Truth: column of events: 0, 1, or numbers of causes.")] = None,
    number: Annotated[str | None, typer.Option(help="Truth: column of numbers.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Column of probabilities, risks or numbers.")] = None,
    classes: Annotated[str | None, typer.Option(help="Their order: no,yes. The last of two is positive.")] = None,
    causes: Annotated[str | None, typer.Option(help="What events 1, 2, ... are: relapse,death.")] = None,
    unit: Annotated[Literal["days", "weeks", "months", "years"], typer.Option(help="Of the times.")] = "months",
    by: Annotated[list[str] | None, typer.Option(help="Truth: column of subgroups; may be given again.")] = None,
    cut: Annotated[float | None, typer.Option(help="Risk above which it is high, fixed in training.")] = None,
    failures: Annotated[int, typer.Option(min=0, help="Worst predictions to list, with patient ids.")] = 0,
    replicates: Annotated[int, typer.Option(min=1, help="Bootstrap replicates.")] = 1000,
    overwrite: Overwrite = False,
) -> None:
    """Judge predictions made by any tool: joined to the truth by patient id, with intervals, as a page.

    Columns of predictions: probability[CLASS] of every class, or probability of the second of two; risk (higher is
    worse) and survival[TIME], the probability to be event-free then; of competing causes risk[CAUSE] and
    incidence[CAUSE][TIME]; value, for numbers; fold, of out-of-fold ones.
    """
    with spoken():
        from fusiondx.experiment import evaluating

        asked = evaluating.Asked(
            id=id,
            label=label,
            time=time,
            event=event,
            number=number,
            classes=() if classes is None else tuple(name.strip() for name in classes.split(",")),
            causes=() if causes is None else tuple(name.strip() for name in causes.split(",")),
            unit=unit,
            prediction=prediction,
            by=tuple(by or ()),
            cut=cut,
            failures=failures,
            replicates=replicates,
        )
        print(evaluating.evaluate(predictions, truth, out, asked, baseline, overwrite))
        note(f"Report: {out / 'report.html'}; table: {out / 'metrics.csv'}")


@app.command()
def reproduce(run: Run, data: Data = None) -> None:
    """Do a finished run again and say whether data, versions and numbers are the same; exit code 3 where not."""
    with spoken():
        from fusiondx.experiment.reproducing import reproduce

        lines = reproduce(run, data, progress=note)
        print(*lines or ["The same, bit for bit."], sep="\n")
        if lines:
            raise typer.Exit(3)


@app.command()
def explain(
    run: Run,
    data: Annotated[Path, typer.Option(help="Folder with the data files.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    patient: Annotated[list[str] | None, typer.Option(help="Whom to explain; left out: all, with 20 cards.")] = None,
    target: Annotated[str | None, typer.Option(help="Which of several targets.")] = None,
    label: Annotated[str | None, typer.Option(help="Which class, finding or cause.")] = None,
    horizon: Annotated[float | None, typer.Option(help="Of a prognosis, in its unit.")] = None,
    model: Annotated[str | None, typer.Option(help="Which of several models.")] = None,
) -> None:
    """Say what drove a run's predictions: tables as CSV, and a card for each patient as HTML and PNG."""
    with spoken():
        from fusiondx.experiment import explaining

        pages = explaining.explain(run, data, out, patient or (), target, label, horizon, model)
        note(f"{counted(len(pages), 'card')} and the tables: {out}")


@app.command()
def report(run: Run) -> None:
    """Draw the report.html of a finished run afresh from its report.json."""
    with spoken():
        from fusiondx.experiment import folder
        from fusiondx.reporting.report import Report

        folder.need_run(run)
        note(f"Report: {Report.from_json(run / folder.REPORT).to_html(run / folder.PAGE)}")


config = typer.Typer(help="Look at the settings of cohort.yaml and experiment.yaml files.", no_args_is_help=True)
app.add_typer(config, name="config")
Settings = Annotated[Path, typer.Argument(help="A YAML file, or a run's resolved one.", show_default=False)]


@config.command()
def show(file: Settings, set: Set = None) -> None:
    """Print all settings in force: files it extends merged, changes made, defaults spelt out."""
    with spoken():
        from fusiondx.experiment.file import as_yaml
        from fusiondx.experiment.resolved import resolved

        print(as_yaml(resolved(file, set or ())), end="")


@config.command()
def diff(
    a: Settings,
    b: Settings,
    set: Annotated[list[str] | None, typer.Option(help="Change a setting of both first.")] = None,
) -> None:
    """Print the settings in force that differ: one line per setting."""
    with spoken():
        from fusiondx.experiment.resolved import differences, resolved

        lines = differences(resolved(a, set or ()), resolved(b, set or ()))
        print(*lines, sep="\n", end="\n" if lines else "")
        note(f"{len(lines)} settings differ." if lines else "No setting differs.")


@app.command()
def schema(
    of: Annotated[Literal["cohort", "experiment"], typer.Argument(metavar="[cohort|experiment]")] = "experiment",
) -> None:
    """Print the JSON Schema of cohort.yaml or experiment.yaml, for editors that complete and check."""
    with spoken():
        import json

        from fusiondx.experiment.schema import schema_of

        print(json.dumps(schema_of(of), indent=1))


def changes(set: list[str] | None, jobs: int | None) -> list[str]:
    """All settings changed on the command line."""
    return [*(set or ()), *([] if jobs is None else [f"jobs={jobs}"])]


def note(line: str) -> None:
    """Say something about progress; results alone go to standard output."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def spoken() -> Iterator[None]:
    """A user's mistake becomes one message and exit code 2, an interruption 130, being told to stop 143; surprises keep
    their traceback."""
    with warnings.catch_warnings(), stoppable():
        warnings.simplefilter("always", FusionDxWarning)
        warnings.showwarning = once(warnings.showwarning)
        try:
            yield
        except FusionDxError as error:
            say("error", str(error), "red")
            raise typer.Exit(2) from None
        except OSError as error:
            if error.filename is None:
                raise
            say("error", f"{error.filename}: {error.strerror}.", "red")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            interrupted()
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                interrupted()  # Lightning turns an interruption into exit code 1
            if error.code == TOLD_TO_STOP:
                say("error", "told to stop.", "red")
                raise typer.Exit(TOLD_TO_STOP) from None
            raise


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM, by which schedulers end a job, unwinds as an interruption does: what is half done is cleared away."""

    def stop(*_: object) -> None:
        raise SystemExit(TOLD_TO_STOP)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupted() -> None:
    say("error", "interrupted.", "red")
    raise typer.Exit(130)


def once(otherwise: Any) -> Any:
    """A way to show warnings: ours as one line, each text once; others as ever."""
    seen: set[str] = set()

    def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, FusionDxWarning):
            otherwise(message, category, *place, **more)
        elif str(message) not in seen:
            seen.add(str(message))
            say("warning", str(message), "yellow")

    return show


def say(word: str, text: str, colour: str) -> None:
    """A message on standard error; names from a user's files are neither markup nor orders to the terminal."""
    from rich.console import Console
    from rich.text import Text

    from fusiondx.reporting.words import plain

    lines = "\n".join(plain(line) for line in text.splitlines())
    Console(stderr=True, soft_wrap=True).print(Text.assemble((f"{word}: ", f"bold {colour}"), lines))


def main() -> None:
    """Entry point of the command ``fusiondx``."""
    app()
