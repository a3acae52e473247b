"""What file formats promise and hold: headers checked, samples read straight, missing data found."""
