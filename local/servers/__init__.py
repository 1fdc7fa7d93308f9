"""The servers of the local stack, and the processes and ports that they live on."""
