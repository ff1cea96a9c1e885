// Files that are dropped on the page or pasted.

const AUDIO_SUFFIXES = /\.(wav|mp3|flac|ogg|opus|m4a|aac|mp4|mov|webm|mkv)$/i;

export const isAudio = (file) => /^(audio|video)\//.test(file.type) || AUDIO_SUFFIXES.test(file.name);

export function onDroppedFile(callback) {
  const overlay = document.getElementById('drop');
  let depth = 0; // Nested elements that a dragged file is over.
  const setDepth = (count) => {
    depth = count;
    overlay.hidden = depth <= 0;
  };
  document.addEventListener('dragenter', (event) => {
    event.preventDefault();
    setDepth(depth + 1);
  });
  document.addEventListener('dragleave', () => setDepth(depth - 1));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    setDepth(0);
    if (event.dataTransfer.files.length) callback(event.dataTransfer.files[0]);
  });
  document.addEventListener('paste', ({clipboardData}) => {
    if (clipboardData.files.length) callback(clipboardData.files[0]);
  });
}
