"""The counterparties of a venue, written from the specifications: clients, exchanges, clocks, and waiting for them."""
