"""What a run did: exact integer counts by matrix, population and node."""
