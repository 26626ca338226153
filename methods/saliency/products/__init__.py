"""What can be made of a photo and its map: a refined mask, pictures, videos."""
