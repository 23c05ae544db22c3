"""What every `inseam.ports.model_format.ModelFormat` must do.

Subclass and give: ``make()``, the format; ``fitted(data, task, seed)``, a model of it fitted on `TrainingData`;
``expected(model, data)``, the library's own answer for the rows; and ``tolerance`` between that answer and
ours, when they are not bit for bit the same.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from inseam.ir.training import Task
from inseam.kernel.errors import DataError, UnsafeArtifactError
from inseam.ports.bundle import digest
from inseam.ports.model_format import ModelFormat, Predictor
from inseam.stages.train.data import TrainingData, read_train_part
from inseam.testing.learners import linear
from inseam.testing.training_sets import KEYS, model_spec, write_training_set

_FITTED: dict[tuple[type, Task], Any] = {}


def training_data(directory: Path, task: Task) -> TrainingData:
    record = write_training_set(directory, task, rows=600)
    return read_train_part(model_spec(linear, task), record.path, KEYS)


class ModelFormatContract:
    tolerance: ClassVar[float] = 0.0

    def make(self) -> ModelFormat:
        raise NotImplementedError

    def fitted(self, data: TrainingData, task: Task, seed: int) -> Any:
        raise NotImplementedError

    def expected(self, model: Any, data: TrainingData, task: Task) -> np.ndarray:
        raise NotImplementedError

    @pytest.fixture(params=list(Task), ids=str)
    def task(self, request: pytest.FixtureRequest) -> Task:
        task: Task = request.param
        return task

    @pytest.fixture
    def data(self, tmp_path: Path, task: Task) -> TrainingData:
        return training_data(tmp_path / "sets", task)

    @pytest.fixture
    def model(self, data: TrainingData, task: Task) -> Any:
        """Fitted once a task: no test changes it."""
        key = type(self), task
        if key not in _FITTED:
            _FITTED[key] = self.fitted(data, task, 3)
        return _FITTED[key]

    @pytest.fixture
    def place(self, model: Any, data: TrainingData, tmp_path: Path) -> Path:
        """The saved model."""
        return self._save(model, data, tmp_path / "m")

    @pytest.fixture
    def predictor(self, place: Path, task: Task) -> Predictor:
        return self.make().load(place, task)

    def _save(self, model: Any, data: TrainingData, place: Path) -> Path:
        place.mkdir()
        self.make().save(model, place, example=data.X.to_numpy()[:8])
        return place

    def test_what_is_loaded_answers_as_what_was_saved(
        self, model: Any, predictor: Predictor, data: TrainingData, task: Task
    ) -> None:
        output = predictor.predict(data.X.to_numpy())
        assert output.dtype == np.float64
        assert output.shape == ((len(data), 3) if task is Task.MULTICLASS else (len(data),))
        np.testing.assert_allclose(output, self.expected(model, data, task), rtol=self.tolerance, atol=self.tolerance)

    def test_the_format_accepts_its_own_models_and_no_others(self, model: Any) -> None:
        assert self.make().accepts(model)
        assert not self.make().accepts(object())
        assert not self.make().accepts(lambda rows: rows)

    def test_one_seed_gives_one_digest(self, data: TrainingData, task: Task, place: Path, tmp_path: Path) -> None:
        again = self._save(self.fitted(data, task, 3), data, tmp_path / "again")
        assert digest(again) == digest(place)

    def test_a_row_alone_has_the_bits_it_has_in_a_batch_when_that_is_promised(
        self, predictor: Predictor, data: TrainingData
    ) -> None:
        matrix = data.X.to_numpy()[:70]
        whole = predictor.predict(matrix)
        alone = np.concatenate([predictor.predict(matrix[row : row + 1]) for row in range(len(matrix))])
        if predictor.is_row_independent:
            np.testing.assert_array_equal(alone, whole)
        else:
            np.testing.assert_allclose(alone, whole, rtol=1e-5, atol=1e-6)

    def test_asked_twice_it_answers_the_same_bits(
        self, predictor: Predictor, data: TrainingData, task: Task, place: Path
    ) -> None:
        again = self.make().load(place, task)
        matrix = data.X.to_numpy()
        np.testing.assert_array_equal(predictor.predict(matrix), again.predict(matrix))

    def test_no_rows_give_no_answers(self, predictor: Predictor, data: TrainingData, task: Task) -> None:
        nothing = predictor.predict(np.empty((0, data.X.shape[1])))
        assert nothing.shape == ((0, 3) if task is Task.MULTICLASS else (0,))

    def test_threads_may_share_a_predictor(self, predictor: Predictor, data: TrainingData, task: Task) -> None:
        rows = [data.X.to_numpy()[place : place + 1] for place in range(100)]
        alone = [predictor.predict(row) for row in rows]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(predictor.predict, rows))
        np.testing.assert_array_equal(np.concatenate(together), np.concatenate(alone))

    def test_a_matrix_of_another_width_is_refused(self, predictor: Predictor, data: TrainingData, task: Task) -> None:
        with pytest.raises(DataError):
            predictor.predict(np.zeros((2, data.X.shape[1] + 1)))

    def test_bytes_that_are_no_model_are_refused(self, place: Path, task: Task) -> None:
        for file in place.iterdir():
            file.write_bytes(b"{}")
        with pytest.raises(UnsafeArtifactError):
            self.make().load(place, task)

    def test_nothing_is_unpickled(self, data: TrainingData, task: Task, place: Path) -> None:
        seen: list[str] = []
        is_watching = True

        def watch(event: str, _: Any) -> None:
            if is_watching and event == "pickle.find_class":
                seen.append(event)

        # An audit hook stays for the life of the process, so this one is told when to look away.
        sys.addaudithook(watch)
        self.make().load(place, task).predict(data.X.to_numpy()[:3])
        is_watching = False
        assert seen == []

    def test_importances_name_the_features(self, model: Any, data: TrainingData) -> None:
        names = list(data.encoding.names)
        found = self.make().importances(model, names)
        assert set(found) <= set(names)
        assert all(np.isfinite(value) and value >= 0 for value in found.values())
