"""What can be asked of the database: its health, its schemas and tables, its versions."""
