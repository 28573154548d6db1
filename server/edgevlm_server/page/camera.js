// The camera of this device: a live view, and a picture out of it. Knows no server.

import { $ } from "./elements.js";
import { jpeg } from "./picture.js";

// `chosen(file)` is called for each picture taken.
export function watchCamera(chosen) {
  $("camera").addEventListener("click", open);
  $("cancel").addEventListener("click", () => close($("camera")));
  $("take").addEventListener("click", async () => {
    const { videoWidth, videoHeight } = $("live");
    const file = await jpeg($("live"), videoWidth, videoHeight, "camera.jpg");
    close($("camera"));
    chosen(file);
  });
}

let opens = 0; // a later one makes an earlier one void

async function open() {
  // browsers give pages the live camera only over https and on the machine itself; a phone's own camera app works always
  if (!navigator.mediaDevices?.getUserMedia) {
    $("capture").click();
    return;
  }
  const mine = ++opens;
  $("camera-error").hidden = true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    if (mine !== opens) {
      end(stream);
      return;
    }
    end($("live").srcObject);
    $("live").srcObject = stream;
    await $("live").play();
  } catch (error) {
    if (mine !== opens) return;
    close($("camera"));
    $("camera-error").textContent = `The camera cannot be used: ${error.message}`;
    $("camera-error").hidden = false;
    return;
  }
  if (mine !== opens) return;
  show(true);
  $("take").focus();
}

function close(focus) {
  opens += 1;
  end($("live").srcObject);
  $("live").srcObject = null;
  show(false);
  focus.focus();
}

function end(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

function show(live) {
  $("stage").classList.toggle("live", live);
  $("live").hidden = !live;
  $("shutter").hidden = !live;
  $("sources").hidden = live;
}
