"""Every decision, pure: what was seen and what follows from it; nothing here touches a machine."""
