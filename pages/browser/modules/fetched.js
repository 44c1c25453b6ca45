// Bytes of an address of the app's own server.
export const fetched = async (address) => {
  const answer = await fetch(new URL(address, self.location.origin));
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.arrayBuffer();
};
