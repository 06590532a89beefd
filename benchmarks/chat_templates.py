"""Chat templates of several families, written for measurements: what a guide of another family is given.

`ALL` maps a name to Jinja text. They have what a single question needs, in each family's form; `none` gives
the question and a line break, and `unopened` is ChatML that does not open the answer.
"""

from __future__ import annotations

TURNS = "{% for m in messages %}"
DONE = "{% endfor %}"
OPEN = "{% if add_generation_prompt %}"
END = "{% endif %}"

CHATML = TURNS + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n" + DONE
LLAMA_2 = (
    "{{ bos_token }}"
    + TURNS
    + "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    + "{% else %} {{ m.content }} {{ eos_token }}{% endif %}"
    + DONE
)
LLAMA_3 = (
    "{{ bos_token }}"
    + TURNS
    + "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}<|eot_id|>"
    + DONE
    + OPEN
    + "<|start_header_id|>assistant<|end_header_id|>\n\n"
    + END
)
GEMMA = (
    "{{ bos_token }}"
    + TURNS
    + "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content }}<end_of_turn>\n"
    + DONE
    + OPEN
    + "<start_of_turn>model\n"
    + END
)
ALPACA = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    + TURNS
    + "### {{ 'Instruction' if m.role == 'user' else 'Response' }}:\n{{ m.content }}\n\n"
    + DONE
    + OPEN
    + "### Response:\n"
    + END
)
PHI_3 = TURNS + "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n" + DONE + OPEN + "<|assistant|>\n" + END

FOREIGN = {"llama-2": LLAMA_2, "llama-3": LLAMA_3, "gemma": GEMMA, "alpaca": ALPACA, "phi-3": PHI_3}
ALL = {
    "chatml": CHATML + OPEN + "<|im_start|>assistant\n" + END,
    "unopened": CHATML,
    "none": TURNS + "{{ m.content }}\n" + DONE,
    **FOREIGN,
}
