"""One Modbus TCP connection, with one exception for everything that can go wrong on it."""

import socket
from collections.abc import Sequence

from pymodbus import ModbusException
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from inspection.plc.config import PlcConfig


class PlcUnreachableError(ConnectionError):
    """The PLC did not answer, or not as asked; the connection must be made anew."""


class ModbusSession:
    """A connection that is never remade behind its user's back.

    pymodbus reconnects inside a call by itself; after a lost connection the current trigger sequence must be
    read first, so here a call on a lost connection fails. A call that timed out closes the connection, so
    that its late response cannot be taken for the next call's.
    """

    def __init__(self, config: PlcConfig) -> None:
        self._config = config
        self._client: ModbusTcpClient | None = None

    def connect(self) -> None:
        """Connects.

        Raises:
            PlcUnreachableError: nobody answers there within the timeout.
        """
        self.close()
        config = self._config
        client = ModbusTcpClient(config.host, port=config.port, timeout=config.timeout_s, retries=0)
        if not client.connect() or client.socket is None:
            raise PlcUnreachableError(f"no answer at {config.host}:{config.port}")
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def read(self, address: int, count: int) -> list[int]:
        """Reads `count` holding registers (function 3).

        Raises:
            PlcUnreachableError: no or no good answer.
        """
        client = self._live()
        try:
            response = client.read_holding_registers(address, count=count, device_id=self._config.unit_id)
            self._check(response)
            if len(response.registers) != count:
                raise ConnectionError(f"{len(response.registers)} registers instead of {count}")
        except (ModbusException, OSError) as error:
            raise self._lost(error) from error
        return list(response.registers)

    def write(self, address: int, words: Sequence[int]) -> None:
        """Writes holding registers in one go (function 16).

        Raises:
            PlcUnreachableError: no or no good answer.
        """
        client = self._live()
        try:
            self._check(client.write_registers(address, list(words), device_id=self._config.unit_id))
        except (ModbusException, OSError) as error:
            raise self._lost(error) from error

    def write_coil(self, address: int, value: bool) -> None:
        """Writes one coil (function 5).

        Raises:
            PlcUnreachableError: no or no good answer.
        """
        client = self._live()
        try:
            self._check(client.write_coil(address, value, device_id=self._config.unit_id))
        except (ModbusException, OSError) as error:
            raise self._lost(error) from error

    def read_coil(self, address: int) -> bool:
        """Reads one coil (function 1).

        Raises:
            PlcUnreachableError: no or no good answer.
        """
        client = self._live()
        try:
            response = client.read_coils(address, count=1, device_id=self._config.unit_id)
            self._check(response)
            if not response.bits:
                raise ConnectionError("no coil in the answer")
        except (ModbusException, OSError) as error:
            raise self._lost(error) from error
        return bool(response.bits[0])

    def _live(self) -> ModbusTcpClient:
        if self._client is None or not self._client.connected:
            raise self._lost(ConnectionError("not connected"))
        return self._client

    def _check(self, response: ModbusPDU) -> None:
        if response.isError():
            raise ConnectionRefusedError(f"the PLC refused: exception code {response.exception_code}")

    def _lost(self, error: Exception) -> PlcUnreachableError:
        self.close()
        if isinstance(error, ConnectionException):
            return PlcUnreachableError("the PLC closed the connection")
        if isinstance(error, ModbusIOException):
            return PlcUnreachableError(f"no answer within {self._config.timeout_s:g} s")
        return PlcUnreachableError(str(error))
