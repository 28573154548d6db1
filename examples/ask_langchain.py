"""Ask about a picture with LangChain, whole and streamed.

pip install langchain-openai
python ask_langchain.py gauge.jpg "What does the gauge read?"
"""

import base64
import os
import sys
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI
from pydantic import SecretStr

picture, question = sys.argv[1:]
data = base64.b64encode(Path(picture).read_bytes()).decode()
message = HumanMessage(
    [
        {"type": "image_url", "image_url": {"url": f"data:;base64,{data}"}},
        {"type": "text", "text": question},
    ]
)

url = os.environ.get("EDGEVLM_URL", "http://127.0.0.1:8000") + "/v1"
key = os.environ.get("EDGEVLM_KEY", "none")
name = OpenAI(base_url=url, api_key=key).models.list().data[0].id
model = ChatOpenAI(base_url=url, api_key=SecretStr(key), model=name)

print(model.invoke([message]).text)

for chunk in model.stream([message]):
    print(chunk.text, end="", flush=True)
print()
