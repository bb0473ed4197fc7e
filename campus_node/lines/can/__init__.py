"""CAN between tills and a gateway: ISO-TP on 29-bit ids, own single frames for one-to-many (B4.1, B4.3).

One loop drives one end of a bus (`line.CanLine.step`). Time is an argument: the same code runs against
a real controller in real time and against a modelled bus in bus time. Start with `ids` (who says what under
which id), then `line`, `head` and `terminal` (the loop and its two ends), then `port` (python-can).
"""
