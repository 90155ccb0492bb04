"""Who is animated: pictures of a subject on disk, and which of them a driving clip needs."""
