"""The storage account: blobs and queues, with the fakes that stand in for them."""
