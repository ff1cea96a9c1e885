// A picture to send: as it is where the server takes it, else made smaller or another format here.

const TAKEN = ['image/jpeg', 'image/png', 'image/webp', 'image/bmp'];
const SIDE = 2400; // Pixels that a picture is shrunk to.

// -> {blob, name}; what no browser can open goes as it is, and the server says what is wrong with it.
export async function prepared(file, limits) {
  const name = file.name || 'picture.png';
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return {blob: file, name};
  }
  const small = picture.width * picture.height <= 1e6 * limits.megapixels;
  if (small && file.size <= 1e6 * limits.upload_mb && TAKEN.includes(file.type)) {
    picture.close();
    return {blob: file, name};
  }
  return {blob: (await encoded(picture, SIDE)) ?? file, name: name.replace(/\.[^.]*$/, '') + '.jpg'};
}

function encoded(picture, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(scale * picture.width);
  canvas.height = Math.round(scale * picture.height);
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff'; // Behind what is transparent.
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.95));
}

// A dialog with what the camera sees; -> a blob, or null where the person thought better of it.
export async function photographed() {
  const $ = (id) => document.getElementById(id);
  const dialog = $('camera-dialog'), video = $('camera-video');
  $('camera-message').hidden = true;
  $('take').disabled = true;
  dialog.showModal();
  let stream = null;
  const closed = new Promise((resolve) => dialog.addEventListener('close', resolve, {once: true}));
  try {
    const wanted = {facingMode: 'user', width: {ideal: 1280}, height: {ideal: 960}};
    stream = await navigator.mediaDevices.getUserMedia({video: wanted});
    video.srcObject = stream;
    await video.play();
    $('take').disabled = false;
  } catch (error) {
    $('camera-message').textContent = cameraMistake(error);
    $('camera-message').hidden = false;
  }
  let photo = null;
  const take = async () => {
    photo = encoded(await createImageBitmap(video), SIDE);
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

function cameraMistake(error) {
  if (error.name === 'NotAllowedError') return 'The camera is not allowed for this page: allow it in the browser, beside the address.';
  if (error.name === 'NotFoundError') return 'No camera was found: choose a picture instead.';
  return `The camera cannot be used (${error.message}): choose a picture instead.`;
}
