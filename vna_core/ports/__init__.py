"""What the outside supplies: storage backends, PACS adapters, observers. One page each; plugins see nothing else but `domain` and `dicom`."""
