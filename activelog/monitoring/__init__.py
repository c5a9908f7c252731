"""What an operator watches: for now what waits and what runs, for Prometheus."""
