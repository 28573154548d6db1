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

async function open() {
  // browsers give pages the live camera only over https and on the machine itself; a phone's own camera app works always
  if (!navigator.mediaDevices?.getUserMedia) {
    $("capture").click();
    return;
  }
  $("camera-error").hidden = true;
  $("camera").disabled = true; // a second camera would replace the first, and nobody would stop that
  try {
    $("live").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    await $("live").play();
  } catch (error) {
    $("camera").disabled = false; // the focus goes there
    close($("camera"));
    $("camera-error").textContent = `The camera cannot be used: ${error.message}`;
    $("camera-error").hidden = false;
    return;
  }
  $("camera").disabled = false;
  show(true);
  $("take").focus();
}

function close(focus) {
  for (const track of $("live").srcObject?.getTracks() ?? []) track.stop();
  $("live").srcObject = null;
  show(false);
  focus.focus();
}

function show(live) {
  $("stage").classList.toggle("live", live);
  $("live").hidden = !live;
  $("shutter").hidden = !live;
  $("sources").hidden = live;
}
