"""What a person sees: commands, views and the chat. The only place that prints."""
