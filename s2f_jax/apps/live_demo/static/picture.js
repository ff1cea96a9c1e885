// Pictures to upload: unchanged if the server accepts them, else scaled or converted here.

const ACCEPTED = ['image/jpeg', 'image/png', 'image/webp', 'image/bmp'];
const MAX_SIDE = 2400; // Pixels.

// Returns {blob, name}. What this browser cannot decode is sent unchanged; the server reports what is wrong.
export async function preparePicture(file, limits) {
  const name = file.name || 'picture.png';
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return {blob: file, name};
  }
  const small = picture.width * picture.height <= 1e6 * limits.megapixels;
  if (small && file.size <= 1e6 * limits.upload_mb && ACCEPTED.includes(file.type)) {
    picture.close();
    return {blob: file, name};
  }
  return {blob: (await encode(picture, MAX_SIDE)) ?? file, name: name.replace(/\.[^.]*$/, '') + '.jpg'};
}

function encode(picture, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(scale * picture.width);
  canvas.height = Math.round(scale * picture.height);
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff'; // Behind transparent pixels.
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.95));
}

// Shows the camera in a dialog. Returns a photo as a blob, or null if it was cancelled.
export async function takePhoto() {
  const $ = (id) => document.getElementById(id);
  const dialog = $('camera-dialog'), video = $('camera-video');
  $('camera-message').hidden = true;
  $('take').disabled = true;
  dialog.showModal();
  let stream = null;
  const closed = new Promise((resolve) => dialog.addEventListener('close', resolve, {once: true}));
  try {
    const constraints = {facingMode: 'user', width: {ideal: 1280}, height: {ideal: 960}};
    stream = await navigator.mediaDevices.getUserMedia({video: constraints});
    video.srcObject = stream;
    await video.play();
    $('take').disabled = false;
  } catch (error) {
    $('camera-message').textContent = cameraErrorText(error);
    $('camera-message').hidden = false;
  }
  let photo = null;
  const take = async () => {
    photo = encode(await createImageBitmap(video), MAX_SIDE);
    dialog.close();
  };
  const cancel = () => dialog.close();
  $('take').addEventListener('click', take);
  $('close-camera').addEventListener('click', cancel);
  await closed;
  $('take').removeEventListener('click', take);
  $('close-camera').removeEventListener('click', cancel);
  stream?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  return photo;
}

function cameraErrorText(error) {
  if (error.name === 'NotAllowedError') return 'This page is not allowed to use the camera: allow it in the address bar.';
  if (error.name === 'NotFoundError') return 'No camera was found: choose a picture instead.';
  return `The camera cannot be used (${error.message}): choose a picture instead.`;
}
