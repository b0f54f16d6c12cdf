"""The hostile run: attacks, bad answers, bad records, plugin faults and kills beside good traffic of 20 a second."""
