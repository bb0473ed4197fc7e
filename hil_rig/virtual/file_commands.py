"""SELECT, and reading and writing files."""

from typing import Final

from hil_rig.virtual import status
from hil_rig.virtual.chip import LE_ALL, Chip, Request, blocked_sw
from hil_rig.virtual.crypto import MAC_BYTES
from hil_rig.virtual.file_system import Directory, File, Kind, Life, binary_slot, record_slot
from hil_rig.virtual.secure_messaging import answered, decrypted, key_in_force, opened

FREE: Final = 0x00
PIN: Final = 0x01
AUTHENTICATED: Final = 0x02
MAINTENANCE: Final = 0x03
MAINTENANCE_ENCRYPTED: Final = 0x04
NEVER: Final = 0xFF

PUBLIC_FILE: Final = 0x0015
PLAIN_CLA: Final = 0x00

FCI_PUBLIC_MAX: Final = 80
PAYMENT_DIRECTORY_P2: Final = 1 << 3 | 0b100  # the SFI that the MF's FCI tells
APPLICATION_LABEL: Final = b"EP"
BY_RECORD_ID: Final = 0b000
BY_RECORD_NUMBER: Final = 0b100


class FileCommands:
    """The commands on files, for card and PSAM alike.

    Args:
        look_in_mf: whether a file that the application lacks is looked for in the MF, as a PSAM does.
    """

    def __init__(self, chip: Chip, *, look_in_mf: bool = False) -> None:
        self._chip = chip
        self._look_in_mf = look_in_mf
        chip.commands |= {
            0x00A4: self.select,
            0x00B0: self.read_binary,
            0x04B0: self.read_binary,
            0x00D6: self.update_binary,
            0x04D6: self.update_binary,
            0x00B2: self.read_record,
            0x00DC: self.update_record,
            0x04DC: self.update_record,
            0x00E2: self.append_record,
            0x04E2: self.append_record,
        }

    def select(self, request: Request) -> bytes:
        """`00 A4 00 00 02` FID or `00 A4 04 00 Lc` name."""
        files = self._chip.files
        if request.p2 != 0:
            raise status.Ended(status.NO_FILE if request.p2 == 2 else status.WRONG_PARAMETERS)
        if request.p1 == 0x04:
            found = files.named(request.content)
        elif request.p1 == 0x00:
            request.expect(2)
            fid = int.from_bytes(request.content)
            file = self._chip.directory.files.get(fid)
            if file is not None:
                self._chip.file = file
                return b""
            found = files.by_fid(fid)
        else:
            raise status.Ended(status.WRONG_PARAMETERS)
        if found is None:
            raise status.Ended(status.NO_FILE)
        self._chip.enter(found)
        if found.life in {Life.BLOCKED, Life.BLOCKED_FOR_EVER}:
            raise status.Ended(blocked_sw(found))
        return self._fci(found)

    def read_binary(self, request: Request) -> bytes:
        """`00 B0 100sssss offset Le` or `00 B0 offset offset Le`; CLA 04 adds a MAC, which Le counts."""
        directory, file, offset = self._binary(request)
        self._demand(directory, file.read)
        content = self._chip.files.slots[binary_slot(directory, file.fid)]
        if offset >= len(content):
            raise status.Ended(status.WRONG_OFFSET)
        wanted = request.le or LE_ALL
        if request.cla == PLAIN_CLA:
            return content[offset : offset + wanted]
        if wanted <= MAC_BYTES:
            raise status.Ended(status.WRONG_LENGTH)
        return answered(self._chip, request, content[offset : offset + wanted - MAC_BYTES])

    def update_binary(self, request: Request) -> bytes:
        """`00 D6 …`; `04 D6` with a MAC, plain or encrypted as the file wants it."""
        directory, file, offset = self._binary(request)
        content = self._writable(request, directory, file)
        if not content:
            raise status.Ended(status.WRONG_LENGTH)
        slot = binary_slot(directory, file.fid)
        old = self._chip.files.slots[slot]
        if offset >= len(old):
            raise status.Ended(status.WRONG_OFFSET)
        if offset + len(content) > len(old):
            raise status.Ended(status.NO_ROOM)
        self._chip.files.commit({slot: old[:offset] + content + old[offset + len(content) :]})
        return b""

    def read_record(self, request: Request) -> bytes:
        """`00 B2 number (SFI<<3)|4 Le`, or by record id with (SFI<<3)|0; record 1 of a log is the newest."""
        if self._chip.directory.number == 0 and request.p2 == PAYMENT_DIRECTORY_P2:
            return self._payment_directory(request.p1)
        directory, file = self._record_file(request)
        self._demand(directory, file.read)
        return self._chip.files.slots[self.record(directory, file, request)]

    def update_record(self, request: Request) -> bytes:
        """`00 DC` or `04 DC`: replace a record; what is shorter keeps the old record's tail."""
        directory, file = self._record_file(request)
        slot = self.record(directory, file, request)
        content = self._writable(request, directory, file)
        old = self._chip.files.slots[slot]
        if not content:
            raise status.Ended(status.WRONG_LENGTH)
        if len(content) > len(old):
            raise status.Ended(status.NO_ROOM)
        self._chip.files.commit({slot: content + old[len(content) :]})
        return b""

    def append_record(self, request: Request) -> bytes:
        """`00 E2 00 (SFI<<3)` or `04 E2`: add a record; a cyclic file forgets its oldest."""
        if request.p1 != 0 or request.p2 & 0b111:
            raise status.Ended(status.WRONG_PARAMETERS)
        directory, file = self._record_file(request)
        content = self._writable(request, directory, file)
        files = self._chip.files
        if not content:
            raise status.Ended(status.WRONG_LENGTH)
        if file.kind == Kind.CYCLIC:
            if len(content) != file.two:
                raise status.Ended(status.WRONG_LENGTH)
            files.commit(files.cyclic_append(directory, file, content))
            return b""
        records = files.records(directory, file)
        used = sum(len(files.slots[slot]) for slot in records)
        if used + len(content) > file.one or len(records) > 255:
            raise status.Ended(status.NO_ROOM)
        files.commit({record_slot(directory, file, len(records)): content})
        return b""

    def record(self, directory: Directory, file: File, request: Request) -> str:
        """Return the slot of the record that P1 and P2 name. End with 6A83, 6A86."""
        slots = self._chip.files.records(directory, file)
        how = request.p2 & 0b111
        if how == BY_RECORD_NUMBER:
            if 1 <= request.p1 <= len(slots):
                return slots[request.p1 - 1]
        elif how == BY_RECORD_ID:
            for slot in slots:
                if self._chip.files.slots[slot][0] == request.p1:
                    return slot
        else:
            raise status.Ended(status.WRONG_PARAMETERS)
        raise status.Ended(status.NO_RECORD)

    def _payment_directory(self, number: int) -> bytes:
        """Return an entry of the MF's payment directory, which the chip makes from its applications."""
        numbered = sorted(self._chip.files.directories.items())
        found = [each for place, each in numbered if place and each.life is Life.ACTIVE]
        if not 1 <= number <= len(found):
            raise status.Ended(status.NO_RECORD)
        names = b"\x4f" + _counted(found[number - 1].name) + b"\x50" + _counted(APPLICATION_LABEL)
        return b"\x70" + _counted(b"\x61" + _counted(names))

    def _fci(self, directory: Directory) -> bytes:
        public = self._chip.files.slots.get(binary_slot(directory, PUBLIC_FILE))
        if directory.number == 0:
            proprietary = b"\x88\x01\x01"
        elif public is not None:
            proprietary = b"\x9f\x0c" + _counted(public[:FCI_PUBLIC_MAX])
        else:
            proprietary = b""
        inner = b"\x84" + _counted(directory.name) + b"\xa5" + _counted(proprietary)
        return b"\x6f" + _counted(inner)

    def _binary(self, request: Request) -> tuple[Directory, File, int]:
        directory, file, offset = self._named_binary(request)
        if file.kind != Kind.BINARY:
            raise status.Ended(status.WRONG_FILE_KIND)
        return directory, file, offset

    def _named_binary(self, request: Request) -> tuple[Directory, File, int]:
        if request.p1 & 0x80:
            if request.p1 & 0x60:
                raise status.Ended(status.WRONG_PARAMETERS)
            return *self._by_sfi(request.p1 & 0x1F), request.p2
        if self._chip.file is None:
            raise status.Ended(status.CONDITIONS)
        return self._chip.directory, self._chip.file, request.p1 << 8 | request.p2

    def _record_file(self, request: Request) -> tuple[Directory, File]:
        directory, file = self._by_sfi(request.p2 >> 3)
        if file.kind not in {Kind.RECORDS, Kind.CYCLIC}:
            raise status.Ended(status.WRONG_FILE_KIND)
        return directory, file

    def _by_sfi(self, sfi: int) -> tuple[Directory, File]:
        if sfi == 0 and self._chip.file is not None:
            return self._chip.directory, self._chip.file
        for directory in (self._chip.directory, *([self._chip.files.mf] if self._look_in_mf else [])):
            if (file := directory.by_sfi.get(sfi)) is not None:
                return directory, file
        raise status.Ended(status.NO_FILE)

    def _demand(self, directory: Directory, condition: int) -> None:
        here = directory.number == self._chip.directory.number
        met = (
            condition == FREE
            or (condition == PIN and here and self._chip.pin_verified)
            or (condition == AUTHENTICATED and here and self._chip.authenticated)
        )
        if not met:
            raise status.Ended(status.SECURITY)

    def _writable(self, request: Request, directory: Directory, file: File) -> bytes:
        """Return what is to be written, its right proved."""
        if directory.number != self._chip.directory.number:
            raise status.Ended(status.SECURITY)
        condition = file.write
        if condition == NEVER and directory.life is Life.IN_PERSONALISATION:
            condition = MAINTENANCE
        if request.cla == PLAIN_CLA:
            self._demand(directory, condition)
            return request.content
        if condition == NEVER:
            raise status.Ended(status.SECURITY)
        content = opened(self._chip, request)
        if condition == MAINTENANCE_ENCRYPTED:
            return decrypted(key_in_force(self._chip).cipher, content)
        if condition != MAINTENANCE:
            self._demand(directory, condition)
        return content


def _counted(content: bytes) -> bytes:
    assert len(content) < 0x80
    return bytes([len(content)]) + content
