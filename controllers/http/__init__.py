"""What HTTP answers are made of: queries, views, schemas, health."""
