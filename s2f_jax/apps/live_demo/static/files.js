// Files that are dropped on the page, or pasted.

const SOUNDS = /\.(wav|mp3|flac|ogg|opus|m4a|aac|mp4|mov|webm|mkv)$/i;

export const isSound = (file) => /^(audio|video)\//.test(file.type) || SOUNDS.test(file.name);

export function filesFromElsewhere(take) {
  const shade = document.getElementById('drop');
  let inside = 0; // Elements that a dragged file is over.
  const over = (count) => {
    inside = count;
    shade.hidden = inside <= 0;
  };
  document.addEventListener('dragenter', (event) => {
    event.preventDefault();
    over(inside + 1);
  });
  document.addEventListener('dragleave', () => over(inside - 1));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    over(0);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  document.addEventListener('paste', ({clipboardData}) => {
    if (clipboardData.files.length) take(clipboardData.files[0]);
  });
}
