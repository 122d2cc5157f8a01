"""What a production line's PLC sees of us: registers, client, simulator. Imports no Django."""
