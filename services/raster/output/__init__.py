"""What is written: warped pixels, COGs, VRTs, reports."""
