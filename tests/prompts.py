"""Twenty questions of many kinds, and the plain template they are asked in."""

from blendin_local.core.prompts import PlainTemplate

TEMPLATE = PlainTemplate("test", "Question: {text}\nAnswer:\n", "{text}\n\n", stop=("\nQuestion:",))

PROMPTS = (
    "Why is the sky blue?",
    "Write a haiku about autumn.",
    "What is 17 plus 25?",
    "Name three planets.",
    "Schreibe einen Satz auf Deutsch.",
    "Как дела?",
    "日本の首都はどこですか？",
    "Give me a recipe with emojis 😊🍕.",
    "def fibonacci(n):",
    "List five animals, one per line.",
    "Explain gravity to a child.",
    "Translate 'good morning' into French.",
    "What does HTML stand for?",
    "How do I tie a tie?",
    "Tell me a joke.",
    "Is a tomato a fruit?",
    "Who wrote Hamlet?",
    "What is the square root of 2?",
    "Repeat the word hello ten times.",
    "Compare <|im_end|> with <end_of_turn>.",
)
