"""Object stores behind one interface: objects that are described, read, copied and replaced."""
