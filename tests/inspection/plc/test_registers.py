import random
import string

import pytest

from inspection.plc.registers import (
    REGISTERS,
    Command,
    ErrorCode,
    FromPlc,
    ImplausibleBlockError,
    ResultCode,
    Status,
    ToPlc,
    WordOrder,
    decode_serial,
    encode_serial,
    error_rows,
    join32,
    register_rows,
    sequence_after,
    sequence_distance,
    split32,
)


def a_to_plc(rng):
    word, double = lambda: rng.randrange(2**16), lambda: rng.randrange(2**32)
    return ToPlc(
        heartbeat=word(),
        status=Status(rng.randrange(128)),
        result_sequence=word(),
        result=rng.choice(list(ResultCode)),
        ng_stations=word(),
        defect_class=word(),
        score=rng.randrange(10_001),
        model_version=double(),
        recipe=word(),
        error_code=rng.choice(list(ErrorCode)),
        ok_count=double(),
        ng_count=double(),
        error_count=double(),
    )


def a_from_plc(rng):
    letters = string.ascii_letters + string.digits + string.punctuation
    return FromPlc(
        heartbeat=rng.randrange(2**16),
        command=Command(rng.randrange(8)),
        trigger_sequence=rng.randrange(2**16),
        result_acknowledged=rng.randrange(2**16),
        recipe_request=rng.randrange(2**16),
        serial="".join(rng.choices(letters, k=rng.randrange(17))),
    )


@pytest.mark.parametrize("order", WordOrder)
def test_what_is_written_to_the_plc_reads_back_the_same(order):
    rng = random.Random(1)
    for _ in range(500):
        block = a_to_plc(rng)
        words = block.encode(order)
        assert len(words) == 17
        assert all(0 <= word < 2**16 for word in words)
        assert ToPlc.decode(words, order) == block


def test_what_the_plc_writes_reads_back_the_same():
    rng = random.Random(2)
    for _ in range(500):
        block = a_from_plc(rng)
        words = block.encode()
        assert len(words) == 13
        assert FromPlc.decode(words) == block


def test_each_field_lies_where_the_contract_says():
    words = ToPlc(
        heartbeat=1,
        status=Status.READY | Status.RESULT_VALID,
        result_sequence=3,
        result=ResultCode.NG,
        ng_stations=5,
        defect_class=6,
        score=7,
        model_version=0x0008_0009,
        recipe=10,
        error_code=ErrorCode.LATE,
        ok_count=0x000B_000C,
        ng_count=0x000D_000E,
        error_count=0x000F_0010,
    ).encode()
    assert words == [1, 65, 3, 2, 5, 6, 7, 8, 9, 10, 5, 11, 12, 13, 14, 15, 16]


def test_the_low_word_comes_first_where_the_plc_wants_it_so():
    assert split32(0x1234_5678, WordOrder.LOW_FIRST) == (0x5678, 0x1234)
    assert join32(0x5678, 0x1234, WordOrder.LOW_FIRST) == 0x1234_5678


def test_counters_wrap_at_32_bits():
    assert split32(2**32 + 5, WordOrder.HIGH_FIRST) == (0, 5)


def test_the_heartbeat_wraps_at_65535():
    assert ToPlc(heartbeat=65535 + 1).encode()[0] == 0


def test_sequences_count_over_the_wrap():
    assert sequence_after(65535) == 0
    assert sequence_distance(65534, 1) == 3
    assert sequence_distance(1, 65534) == 65533


def test_a_serial_is_high_byte_first_and_zero_filled():
    assert encode_serial("AB3") == (0x4142, 0x3300, 0, 0, 0, 0, 0, 0)
    assert decode_serial((0x4142, 0x3300, 0xFFFF, 0, 0, 0, 0, 0)) == "AB3"


@pytest.mark.parametrize("serial", ["x" * 17, "Gehäuse", "a\n"])
def test_a_serial_that_does_not_fit_is_refused(serial):
    with pytest.raises(ValueError, match="serial"):
        encode_serial(serial)


@pytest.mark.parametrize(
    "change",
    [{1: 0x10}, {37: 0xFFFF}],
    ids=["a reserved command bit", "a serial that is not ASCII"],
)
def test_a_block_no_plc_program_would_write_is_refused(change):
    words = FromPlc(serial="P1").encode()
    for offset, value in change.items():
        words[offset - 32 if offset >= 32 else offset] = value
    with pytest.raises(ImplausibleBlockError):
        FromPlc.decode(words)


@pytest.mark.parametrize("words", [[], [0] * 12, [0] * 16])
def test_a_block_of_the_wrong_length_is_refused(words):
    with pytest.raises(ImplausibleBlockError):
        FromPlc.decode(words)
    with pytest.raises(ImplausibleBlockError):
        ToPlc.decode(words)


def test_an_unknown_result_code_is_refused():
    words = ToPlc().encode()
    words[3] = 9
    with pytest.raises(ImplausibleBlockError):
        ToPlc.decode(words)


def test_a_value_that_does_not_fit_its_register_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        ToPlc(score=70_000).encode()


def test_the_register_table_covers_both_blocks_without_gap_or_overlap():
    offsets = [register.offset + i for register in REGISTERS for i in range(register.count)]
    assert offsets == [*range(17), *range(32, 45)]


def test_the_register_rows_show_the_lines_own_addresses():
    rows = register_rows(base=100)
    assert rows[7]["offset"] == "7 to 8"
    assert rows[7]["address"] == 107
    assert rows[1]["meaning"].endswith("6 result valid")


def test_every_error_code_has_a_meaning():
    assert [row["code"] for row in error_rows()] == [int(code) for code in ErrorCode]
