(defchor greet [A B])
