"""What a hotlist of a million cards takes; the time of a look-up is shown and never fails a test."""

from bench.hotlist import ROWS, measure_hotlist, samples


def test_a_million_cards_take_less_than_two_megabytes(seed: int) -> None:
    measured = measure_hotlist(seed, lookups=20_000)
    for name, sample in samples(measured).items():
        row = next(row for row in ROWS if row.name == name)
        print(f"{name}: {sample.value:.3f} {row.unit}, must {row.must}, aim {row.aim}")
    assert measured.listed == 520_000
    assert measured.serialised <= 2_000_000
    assert measured.resident <= 2_000_000
