"""Ask about a picture with the openai package, whole and streamed.

pip install openai
python ask_openai.py gauge.jpg "What does the gauge read?"
"""

import base64
import os
import sys
from pathlib import Path

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

picture, question = sys.argv[1:]
data = base64.b64encode(Path(picture).read_bytes()).decode()
messages: list[ChatCompletionMessageParam] = [
    {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": f"data:;base64,{data}"}},
            {"type": "text", "text": question},
        ],
    }
]

url = os.environ.get("EDGEVLM_URL", "http://127.0.0.1:8000")
client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("EDGEVLM_KEY", "none"))
model = client.models.list().data[0].id

answer = client.chat.completions.create(model=model, messages=messages)
print(answer.choices[0].message.content)

for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
