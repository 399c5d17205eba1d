"""Where a deal's lines come from: opportunity products, or the primary quote of Salesforce CPQ. Pure."""
